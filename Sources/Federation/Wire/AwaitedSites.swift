import Foundations
import Protocol

/// Whose answers the present stage of a federation waits for, as sites and people are told: some by their names, which stand in the charter that everybody
/// has, and of the rest how many.
package struct AwaitedSites: Sendable, Equatable {
  /// More are not named.
  private static let mostNamed = 4

  /// Places in the charter.
  package let named: [Int]
  package let others: Int

  /// - Parameter places: in the charter, in its order.
  package init(_ places: [Int]) {
    named = places.count <= Self.mostNamed ? places : Array(places.prefix(Self.mostNamed - 1))
    others = places.count - named.count
  }

  /// Whether a charter of so many sites can have them.
  package func fits(sites: Int) -> Bool {
    !named.isEmpty && named.allSatisfy { $0 < sites } && Set(named).count == named.count
      && others <= sites - named.count
  }

  /// "north", "north and west", "north, west, south and 12 others".
  package func text(_ name: (Int) -> String) -> String {
    var parts = named.map { name($0).printable(limit: 64) }
    if others > 0 { parts.append(others == 1 ? "1 other" : "\(others) others") }
    guard let last = parts.popLast() else { return "nobody" }
    return parts.isEmpty ? last : "\(parts.joined(separator: ", ")) and \(last)"
  }

  // MARK: - As a message

  func write(to envelope: inout Envelope) {
    envelope.write(others, named.count)
    for place in named { envelope.write(place) }
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    others = try envelope.fields.readIndex()
    let count = try envelope.fields.readIndex()
    guard (1...Self.mostNamed).contains(count) else { throw .malformed("sites that are waited for: \(count) of them") }
    var places: [Int] = []
    for _ in 0..<count { places.append(try envelope.fields.readIndex()) }
    named = places
  }
}
