package import Foundations

/// What the numbers of a sum cost in bits. Fraction, clip, weight, sites and sign together are at most 63: a sum over all sites is then at
/// most 2⁶² in size, so that it can be read back from its 64 bits.
package struct BitTable: Sendable, Equatable, CustomStringConvertible {
  package static let limit = 63

  package struct Row: Sendable, Equatable {
    package let name: String
    /// Binary places after the point.
    package let fraction: Int
    /// The smallest k with clip (or an integer's bound) ≤ 2^k; below 0 for clips under ½.
    package let clip: Int
    package let weight: Int
    /// ⌈log₂ n⌉ of n sites.
    package let sites: Int
    package let sign = 1

    package var total: Int { fraction + clip + weight + sites + sign }
  }

  package let rows: [Row]

  package var fits: Bool { rows.allSatisfy { $0.total <= Self.limit } }

  /// A line a row, after one with the names of the columns.
  package var description: String {
    let columns = ["values", "fraction", "clip", "weight", "sites", "sign", "bits of \(Self.limit)"]
    let cells =
      [columns]
      + rows.map { row in
        let bits = [row.fraction, row.clip, row.weight, row.sites, row.sign, row.total].map(String.init)
        return [row.name] + bits.dropLast() + [bits[5] + (row.total <= Self.limit ? "" : ", does not fit")]
      }
    let widths = columns.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    return cells.map { line in
      let padded = zip(line, widths).map { text, width in text + String(repeating: " ", count: width - text.count) }
      return String(padded.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }

  /// The same in one line, for errors.
  var line: String {
    rows.map { row in
      "\(row.name) fraction \(row.fraction) + clip \(row.clip) + weight \(row.weight) + sites \(row.sites) + sign \(row.sign) = "
        + "\(row.total)"
    }.joined(separator: "; ")
  }

  /// The row of a kind of block, for a sum over `sites` sites.
  static func row(_ name: String, _ kind: VectorFormat.Kind, sites: Int) -> Row {
    switch kind {
    case .fixedPoint(let clip, let fractionBits, let weightBound):
      Row(
        name: name, fraction: fractionBits, clip: bits(of: clip), weight: bits(of: weightBound), sites: bits(of: sites))
    case .integer(let bound):
      Row(name: name, fraction: 0, clip: bits(of: bound), weight: 0, sites: bits(of: sites))
    }
  }

  /// The smallest k ≥ 0 with value ≤ 2^k; `value` at least 1.
  private static func bits(of value: Int) -> Int {
    Int.bitWidth - (value - 1).leadingZeroBitCount
  }

  /// The smallest k with value ≤ 2^k; `value` finite and above 0.
  static func bits(of value: Double) -> Int {
    Int(value.exponent) + (value.significand == 1 ? 0 : 1)
  }
}

/// The kinds of numbers of a federation, from its public bounds alone, so that all sites have the same before the first round.
package struct BitPlan: Sendable, Equatable {
  /// Updates, times their weight.
  package let update: VectorFormat.Kind
  /// Losses, metrics and sums of columns.
  package let statistic: VectorFormat.Kind
  /// Counts of rows, and whatever else is a whole number.
  package let rowCount: VectorFormat.Kind
  package let table: BitTable

  /// More places are not given, unless a small clip needs them: a float has no more to say.
  private static let enoughFractionBits = 40

  /// As many binary places as fit, up to 40, and at least as many as keep the error per entry of the weighted mean of the updates within
  /// 2⁻²⁵ of their clip: with f places a site is off by at most 2^−(f+1), so n sites whose weights are at least 1 each leave the mean within
  /// 2^−(f+1), which is 2⁻²⁵ of the clip from f = 24 − log₂ clip on (rounding to nearest; stochastic rounding is off by at most twice as
  /// much).
  ///
  /// - Parameters:
  ///   - updateClip: the largest size of an update's entry.
  ///   - rowsBound: the most rows a site may have.
  ///   - statisticsBound: the largest size of a statistic that a site reports.
  ///   - weightBound: `rowsBound` where sites are weighted by rows, 1 where they are equal.
  /// - Throws: `.bound` for bounds outside their ranges (clips finite and above 0, counts from 1 to 2⁴⁸, 2 to 1000 sites); `.doesNotFit` with the
  ///   table.
  package init(
    updateClip: Double, rowsBound: Int, statisticsBound: Double, sites: Int, weightBound: Int
  ) throws(FixedPointError) {
    for (name, clip) in [("update_clip", updateClip), ("statistics_bound", statisticsBound)] {
      guard clip.isNormal, clip > 0, clip < 0x1p62, clip > 0x1p-62 else {
        throw .bound("\(name) is \(clip), expected a number above 0 and below 2^62")
      }
    }
    for (name, count) in [("rows_bound", rowsBound), ("the largest weight", weightBound)] {
      guard (1...1 << 48).contains(count) else { throw .bound("\(name) is \(count), expected 1 to 2^48") }
    }
    guard SumLimits.plainSites.contains(sites) else { throw .bound("\(sites) sites, expected 2 to 1000") }
    update = Self.fixedPoint(clip: updateClip, weightBound: weightBound, sites: sites)
    statistic = Self.fixedPoint(clip: statisticsBound, weightBound: 1, sites: sites)
    rowCount = .integer(bound: rowsBound)
    let kinds = [("update", update), ("statistic", statistic), ("row count", rowCount)]
    table = BitTable(rows: kinds.map { BitTable.row($0, $1, sites: sites) })
    guard table.fits else { throw .doesNotFit(table) }
  }

  private static func fixedPoint(clip: Double, weightBound: Int, sites: Int) -> VectorFormat.Kind {
    let needed = max(0, 24 - BitTable.bits(of: clip) + (clip.significand == 1 ? 0 : 1))
    let without = VectorFormat.Kind.fixedPoint(clip: clip, fractionBits: 0, weightBound: weightBound)
    let room = BitTable.limit - BitTable.row("", without, sites: sites).total
    return .fixedPoint(
      clip: clip, fractionBits: max(needed, min(room, enoughFractionBits)), weightBound: weightBound)
  }
}

/// Why numbers cannot be part of a sum. Names places, never values.
package enum FixedPointError: Failure, Equatable {
  /// A public bound outside its range.
  case bound(String)
  /// The bounds need more bits than there are.
  case doesNotFit(BitTable)
  /// A layout that cannot be: no blocks, a name twice, too many entries.
  case layout(String)
  /// Values that do not fit the block they are for, or a vector of another length.
  case misplaced(String)
  /// An entry, counted from 0 in its block, that is larger than the block's clip or bound.
  case outOfClip(block: String, index: Int)
  case notFinite(block: String, index: Int)
  /// A weight outside 1 … the block's bound.
  case weight(block: String)

  package var kind: FailureKind {
    switch self {
    case .bound, .doesNotFit: .usage
    case .layout, .misplaced: .defect
    case .outOfClip, .notFinite, .weight: .inputData
    }
  }

  package var description: String {
    switch self {
    case .bound(let what): "fixed point: \(what)"
    case .doesNotFit(let table):
      "the bounds of the fixed point need more than \(BitTable.limit) bits; lower rows_bound or a clip: \(table.line)"
    case .layout(let what): "layout of a sum: \(what)"
    case .misplaced(let what): "values of a sum: \(what)"
    case .outOfClip(let block, let index):
      "entry \(index) of \(block.printable(limit: SumLimits.textBytes)) is outside the bound that the charter sets; raise it there, or find "
        + "out why this site's value is so large"
    case .notFinite(let block, let index):
      "entry \(index) of \(block.printable(limit: SumLimits.textBytes)) is not a number or is infinite"
    case .weight(let block):
      "the weight of \(block.printable(limit: SumLimits.textBytes)) is not between 1 and the charter's bound"
    }
  }
}
