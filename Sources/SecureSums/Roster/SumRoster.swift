internal import Foundations

/// Who takes part in a federation's sums, as the charter says: the same at every party, and its digest is in every signature and key.
///
/// A site's *number* is its place in the charter, from 1.
package struct SumRoster: Sendable, Equatable {
  package struct Site: Sendable, Equatable {
    package let name: String
    /// X25519, 32 bytes: the site's CURVE key.
    package let publicKey: [UInt8]

    package init(name: String, publicKey: [UInt8]) {
      self.name = name
      self.publicKey = publicKey
    }
  }

  /// SHA-256 of the charter's bytes.
  package let charterDigest: [UInt8]
  /// In the order of the charter.
  package let sites: [Site]
  /// X25519, 32 bytes: the aggregator's CURVE key.
  package let aggregatorKey: [UInt8]
  /// How many holders' shares rebuild a secret, and how many signatures a list of survivors needs.
  package let threshold: Int
  /// The fewest sites that a sum may be over.
  package let minimum: Int

  /// - Throws: `.roster` unless there are 2 to 100 sites with distinct names (1 to 80 bytes) and keys of 32 bytes, none the aggregator's,
  ///   n/2 < threshold ≤ n, and 2 ≤ minimum ≤ n.
  package init(
    charterDigest: [UInt8], sites: [Site], aggregatorKey: [UInt8], threshold: Int, minimum: Int
  ) throws(SumError) {
    guard charterDigest.count == 32 else { throw .roster("a charter's digest has 32 bytes") }
    guard SumLimits.sites.contains(sites.count) else {
      throw .roster("\(sites.count) sites; secure sums take 2 to 100, since every two sites share keys for every sum")
    }
    var names = Set<String>()
    var keys: Set = [aggregatorKey]
    for site in sites {
      let name = site.name.printable(limit: SumLimits.textBytes)
      guard (1...SumLimits.textBytes).contains(site.name.utf8.count) else {
        throw .roster("the site \(name) has a name of \(site.name.utf8.count) bytes, expected 1 to 80")
      }
      guard names.insert(site.name).inserted else { throw .roster("two sites are called \(name)") }
      guard site.publicKey.count == 32 else { throw .roster("the key of \(name) has not 32 bytes") }
      guard keys.insert(site.publicKey).inserted else { throw .roster("the key of \(name) is another's too") }
    }
    guard aggregatorKey.count == 32 else { throw .roster("the aggregator's key has not 32 bytes") }
    guard threshold > sites.count / 2, threshold <= sites.count else {
      throw .roster(
        "a threshold of \(threshold) for \(sites.count) sites, expected \(sites.count / 2 + 1) to \(sites.count): with half of the sites or "
          + "fewer, two lists of survivors could be signed")
    }
    guard (2...sites.count).contains(minimum) else {
      throw .roster("a minimum of \(minimum), expected 2 to \(sites.count): a sum over one site is that site's")
    }
    self.charterDigest = charterDigest
    self.sites = sites
    self.aggregatorKey = aggregatorKey
    self.threshold = threshold
    self.minimum = minimum
  }

  package var protection: SumProtection {
    SumProtection(sites: sites.count, threshold: threshold, minimum: minimum)
  }

  /// Numbers of all sites.
  var numbers: ClosedRange<Int> { 1...sites.count }

  /// Of a number that is known to be in the roster.
  func name(_ number: Int) -> String {
    numbers.contains(number) ? sites[number - 1].name.printable(limit: SumLimits.textBytes) : "site \(number)"
  }

  /// In the order of the charter, for a person.
  package func names(_ numbers: some Sequence<Int>) -> String {
    numbers.sorted().map { name($0) }.joined(separator: ", ")
  }
}

/// What a threshold and a minimum protect from, and how many sites may be away (Bonawitz et al., 2017, §6 and theorems 6.3 to 6.5).
package struct SumProtection: Sendable, Equatable {
  package let sites: Int
  package let threshold: Int
  package let minimum: Int

  package init(sites: Int, threshold: Int, minimum: Int) {
    self.sites = sites
    self.threshold = threshold
    self.minimum = minimum
  }

  /// Sites that may be lost at any moment of a sum: the others must be `minimum` in the sum and `threshold` to take the masks away.
  package var dropOutsBorne: Int { sites - max(threshold, minimum) }

  /// Sites that may be in league with an aggregator that keeps to the protocol. With `threshold` of them it could rebuild every secret, and a
  /// sum over `minimum` must leave two sites that are not.
  package var colludersOfCurious: Int { max(0, min(threshold - 1, minimum - 2)) }

  /// Sites that may be in league with an aggregator that lies. Two lists of survivors need 2t signatures, of which the colluders give two each and
  /// the others one: c + n < 2t.
  package var colludersOfLiar: Int { max(0, min(2 * threshold - sites - 1, colludersOfCurious)) }

  /// Whether the threshold is above two thirds, as the proof against an aggregator that lies and controls up to a third of the sites asks.
  package var againstLiar: Bool { threshold >= 2 * sites / 3 + 1 }

  /// In plain words, a sentence or two a line.
  package var lines: [String] {
    let league = { (count: Int) in
      switch count {
      case 0: "no site in league with it"
      case 1: "one site in league with it"
      default: "up to \(count) sites in league with it"
      }
    }
    var lines = [
      "\(threshold) of \(sites) sites must help to open a sum, and at least \(minimum) sites are in each.",
      "An aggregator that keeps to the protocol but is curious learns sums only, with \(league(colludersOfCurious)).",
    ]
    lines.append(
      againstLiar
        ? "An aggregator that lies learns sums only, too, with \(league(colludersOfLiar))."
        : "Against an aggregator that lies and has sites in league with it a threshold of \(2 * sites / 3 + 1) is needed; this one bears "
          + "\(league(colludersOfLiar)).")
    switch dropOutsBorne {
    case 0: lines.append("No site may be away: a sum waits until all are back.")
    case 1: lines.append("One site may be away or be lost at any moment.")
    default: lines.append("\(dropOutsBorne) sites may be away or be lost at any moment.")
    }
    lines.append(
      "Sums do not stop poisoned updates, nor an aggregator in league with all sites but one, nor what two sums over cohorts that differ by one "
        + "site say of that site.")
    return lines
  }
}

/// What limits every part of this module.
package enum SumLimits {
  /// Of a masked sum: every two sites share keys for every sum, hence no more.
  package static let sites = 2...100
  /// Of a sum that is not masked.
  package static let plainSites = 2...1000
  /// Of a name or a purpose, in bytes.
  static let textBytes = 80
  /// Of a vector.
  package static let entries = 1 << 40

  /// Whether it is 1 to 80 bytes that are printable as they are.
  static func isText(_ text: String) -> Bool {
    (1...textBytes).contains(text.utf8.count) && text.printable() == text
  }
}
