import Foundation

/// How much two ways to divide the same items into clusters agree, beyond what chance gives: 1 where they are the same, 0 on average
/// where they are independent.
///
/// Vinh, Epps and Bailey, "Information theoretic measures for clusterings comparison", J. Mach. Learn. Res. 11 (2010): section 4, with
/// the exact expectation of equation 24a and the mean of both entropies as the greatest value (AMI_sum).
package struct AdjustedMutualInformation: Sendable {
  /// ln k! for k = 0 … items.
  private let logFactorials: [Double]

  /// - Parameter items: the most that `between` is called with.
  package init(items: Int) {
    var sums = [0.0]
    sums.reserveCapacity(max(0, items) + 1)
    for item in 0..<max(0, items) { sums.append(sums[item] + log(Double(item + 1))) }
    logFactorials = sums
  }

  /// - Parameters:
  ///   - first: a cluster for each item, any number.
  ///   - second: as many; items of which either is negative count as others do.
  /// - Returns: 1 for two that divide nothing, and 0 where only one of them divides.
  package func between(_ first: [Int], _ second: [Int]) -> Double {
    precondition(first.count == second.count && first.count < logFactorials.count, "as many items as were announced")
    guard !first.isEmpty else { return 0 }
    let (rows, columns) = (Self.numbered(first), Self.numbered(second))
    let (rowSizes, columnSizes) = (Self.sizes(rows), Self.sizes(columns))
    if rowSizes.count == 1 && columnSizes.count == 1 { return 1 }
    if rowSizes.count == 1 || columnSizes.count == 1 { return 0 }
    var pairs: [Int: Int] = [:]
    for (row, column) in zip(rows, columns) { pairs[row * columnSizes.count + column, default: 0] += 1 }
    let total = Double(first.count)
    // In the order of the cells: a sum's rounding must not depend on a dictionary's.
    let information = pairs.sorted { $0.key < $1.key }.reduce(0.0) { sum, pair in
      let (row, column) = pair.key.quotientAndRemainder(dividingBy: columnSizes.count)
      let share = Double(pair.value) / total
      return sum + share * log(total * Double(pair.value) / (Double(rowSizes[row]) * Double(columnSizes[column])))
    }
    let expected = expectedInformation(rowSizes, columnSizes, items: first.count)
    let most = (Self.entropy(rowSizes, total) + Self.entropy(columnSizes, total)) / 2
    let scale = most - expected
    // Each item alone in both: there is nothing left to gain over chance.
    guard abs(scale) > 1e-12 else { return 0 }
    return (information - expected) / scale
  }

  /// Equation 24a; clusters of the same size have the same part in it.
  private func expectedInformation(_ rowSizes: [Int], _ columnSizes: [Int], items: Int) -> Double {
    let (rows, columns) = (Self.countsOfSizes(rowSizes), Self.countsOfSizes(columnSizes))
    let total = Double(items)
    var sum = 0.0
    for (a, rowCount) in rows {
      for (b, columnCount) in columns {
        let fixed =
          logFactorials[a] + logFactorials[b] + logFactorials[items - a] + logFactorials[items - b]
          - logFactorials[items]
        var part = 0.0
        var shared = max(1, a + b - items)
        while shared <= min(a, b) {
          let logProbability =
            fixed - logFactorials[shared] - logFactorials[a - shared] - logFactorials[b - shared]
            - logFactorials[items - a - b + shared]
          if logProbability > -60 {
            let share = Double(shared) / total
            part += share * log(total * Double(shared) / (Double(a) * Double(b))) * exp(logProbability)
          }
          shared += 1
        }
        sum += part * Double(rowCount) * Double(columnCount)
      }
    }
    return sum
  }

  private static func countsOfSizes(_ sizes: [Int]) -> [(size: Int, count: Int)] {
    var counts: [(size: Int, count: Int)] = []
    for size in sizes.sorted() {
      if let last = counts.last, last.size == size {
        counts[counts.count - 1].count += 1
      } else {
        counts.append((size, 1))
      }
    }
    return counts
  }

  private static func entropy(_ sizes: [Int], _ total: Double) -> Double {
    sizes.reduce(0.0) { $0 - Double($1) / total * log(Double($1) / total) }
  }

  /// The same clusters numbered 0, 1 … in order of appearance.
  private static func numbered(_ clusters: [Int]) -> [Int] {
    var numbers: [Int: Int] = [:]
    return clusters.map { cluster in
      if let number = numbers[cluster] { return number }
      numbers[cluster] = numbers.count
      return numbers.count - 1
    }
  }

  private static func sizes(_ numbered: [Int]) -> [Int] {
    var sizes = [Int](repeating: 0, count: (numbered.max() ?? -1) + 1)
    for number in numbered { sizes[number] += 1 }
    return sizes
  }
}
