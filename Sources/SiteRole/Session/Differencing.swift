import Federation
import SecureSums

/// Finds sums that are of the same sites but for one, whose difference tells about that one: its rows exactly, its update roughly.
///
/// Every sum is compared with all before it. A pair of kinds is told once for a site: further ones tell little more.
struct Differencing {
  struct Pair: Equatable {
    let site: String
    /// Of the earlier sum, and of the later.
    let purposes: [String]
  }

  private struct Told: Hashable {
    let place: Int
    let kinds: Set<String>
  }

  private let names: [String]
  private let places: [String: Int]
  /// The last sum of each kind, by the sites that were in it: a bit for each place in the charter.
  private var sums: [[UInt64]: [String: String]] = [:]
  private var told = Set<Told>()

  /// - Parameters:
  ///   - sites: names in the charter's order.
  ///   - records: whose pairs are told already.
  init(sites: [String], records: [SumRecord]) {
    names = sites
    places = Dictionary(sites.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    for record in records { _ = add(record) }
  }

  /// - Returns: pairs with earlier sums that were not told before; none for a record of other sites or sums than a charter has.
  mutating func add(_ record: SumRecord) -> [Pair] {
    guard let purpose = SumPurpose(record.purpose) else { return [] }
    var sites = [UInt64](repeating: 0, count: (names.count + 63) / 64)
    for name in record.survivors {
      guard let place = places[name] else { return [] }
      sites[place / 64] |= 1 << UInt64(place % 64)
    }
    var pairs: [Pair] = []
    for place in names.indices {
      var other = sites
      other[place / 64] ^= 1 << UInt64(place % 64)
      for (kind, earlier) in (sums[other] ?? [:]).sorted(by: { $0.key < $1.key })
      where told.insert(Told(place: place, kinds: [kind, Self.kind(of: purpose)])).inserted {
        pairs.append(Pair(site: names[place], purposes: [earlier, record.purpose]))
      }
    }
    sums[sites, default: [:]][Self.kind(of: purpose)] = record.purpose
    return pairs
  }

  /// Sums that tell the same of a site.
  private static func kind(of purpose: SumPurpose) -> String {
    switch purpose {
    case .means, .deviations, .classCounts: purpose.description
    case .update: "update"
    case .evaluation: "evaluation"
    }
  }
}
