import Foundation
import Foundations
import Protocol
import Synchronization
import Testing
import TestSupport

extension FederationTrial {
  /// Starts an aggregator on the store of a federation that is over, which ends it again.
  func open() throws {
    let aggregator = try TestAggregator(federation, store: store, on: InProcessNetwork())
    #expect(aggregator.waitForEnd(60))
  }

  /// That an aggregator does not start on the store, and says why by the file's name.
  func expectRefusal(
    naming name: String, _ what: String, saying reason: String = "", location: Testing.SourceLocation = #_sourceLocation
  ) {
    do {
      let aggregator = try TestAggregator(federation, store: store, on: InProcessNetwork())
      aggregator.shutDown()
      Issue.record("\(name), \(what): it starts", sourceLocation: location)
    } catch {
      let failure = error as? any Failure
      #expect(failure?.kind.exitCode == 3, "\(name), \(what): \(error)", sourceLocation: location)
      let text = failure?.description ?? ""
      #expect(text.contains("/\(name) "), "\(what): \(text)", sourceLocation: location)
      #expect(reason.isEmpty || text.contains(reason), "\(what): \(text)", sourceLocation: location)
      #expect(text.contains("put back a copy") && text.contains("new --store"), "\(text)", sourceLocation: location)
      #expect(text.split(separator: "it is damaged").count == 2, "said once: \(text)", sourceLocation: location)
    }
  }
}

/// Changes a JSON file, whatever its check says.
func editJSON(_ file: URL, _ change: (inout [String: Any]) -> Void) throws {
  var object = try #require(
    try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
  change(&object)
  try JSONSerialization.data(withJSONObject: object).write(to: file)
}

/// Lets messages to a server through, and says when so many were.
final class MessageCount: Sendable {
  private let number: Int
  private let moment = Flag()
  private let count = Mutex(0)

  init(reaching number: Int) {
    self.number = number
  }

  var isReached: Bool { moment.isRaised }

  func pass(_ transit: Transit) -> [Message] {
    if transit.direction == .toServer, !transit.isPing {
      let passed = count.withLock { count in
        count += 1
        return count
      }
      if passed == number { moment.raise() }
    }
    return [transit.message]
  }
}
