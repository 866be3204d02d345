import Masking

/// Which rows of a file are trained on and which validated on; both in ascending order of row number.
package struct RowSplit: Sendable, Equatable {
  package let training: [Int]
  package let validation: [Int]

  package init(training: [Int], validation: [Int]) {
    self.training = training
    self.validation = validation
  }

  /// A random `share` of the rows, drawn from `seed` alone so that everybody with the same job gets the same split.
  package static func fraction(_ share: Double, seed: Int, rows: Int) -> RowSplit {
    let stream = KeyStream(secret: Array("public seed \(seed)".utf8), label: "split")
    let shuffled = stream.permutation(rows)
    let count = Int((share * Double(rows)).rounded())
    return RowSplit(
      training: shuffled.dropFirst(count).sorted(), validation: shuffled.prefix(count).sorted())
  }

  /// Validates on rows whose group number leaves `remainder` when divided by `modulus` (non-negative remainders).
  package static func groups(_ groups: [Int64], modulus: Int, remainder: Int) -> RowSplit {
    partition(rows: groups.count) { row in
      let rest = groups[row] % Int64(modulus)
      return Int(rest < 0 ? rest + Int64(modulus) : rest) == remainder
    }
  }

  /// Validates on the rows listed.
  package static func listed(_ validation: [Int], rows: Int) -> RowSplit {
    let chosen = Set(validation)
    return partition(rows: rows) { chosen.contains($0) }
  }

  private static func partition(rows: Int, isValidation: (Int) -> Bool) -> RowSplit {
    var training: [Int] = []
    var validation: [Int] = []
    for row in 0..<rows {
      if isValidation(row) { validation.append(row) } else { training.append(row) }
    }
    return RowSplit(training: training, validation: validation)
  }
}
