import Foundation
import Numerics

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
    let maximum = (Self.entropy(rowSizes, total) + Self.entropy(columnSizes, total)) / 2
    let scale = maximum - expected
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

/// How many items a clustering puts right when its clusters are given the classes' names in the best way.
enum ClusterMatching {
  /// Above so many, clusters take classes greedily by how much they share: the best matching of vocabularies takes too long.
  private static let maxExact = 1024

  static func accuracy(_ clusters: [Int], _ classes: [Int]) -> Double {
    guard !clusters.isEmpty else { return 0 }
    let (rowOf, columnOf) = (numbers(clusters), numbers(classes))
    var shared: [[Int]: Int] = [:]
    for (cluster, label) in zip(clusters, classes) {
      shared[[rowOf[cluster] ?? 0, columnOf[label] ?? 0], default: 0] += 1
    }
    let right =
      max(rowOf.count, columnOf.count) <= maxExact
      ? best(shared, rowOf.count, columnOf.count) : greedy(shared)
    return Double(right) / Double(clusters.count)
  }

  static func largestShare(_ classes: [Int]) -> Double {
    var counts: [Int: Int] = [:]
    for label in classes { counts[label, default: 0] += 1 }
    return Double(counts.values.max() ?? 0) / Double(max(1, classes.count))
  }

  private static func numbers(_ labels: [Int]) -> [Int: Int] {
    Dictionary(uniqueKeysWithValues: Set(labels).sorted().enumerated().map { ($0.element, $0.offset) })
  }

  private static func best(_ shared: [[Int]: Int], _ rows: Int, _ columns: Int) -> Int {
    let isWide = rows <= columns
    var scores = Tensor<Double>(zeros: isWide ? [rows, columns] : [columns, rows])
    for (place, count) in shared { scores[place[isWide ? 0 : 1], place[isWide ? 1 : 0]] = Double(count) }
    return LinearAssignment.maximum(scores).enumerated().reduce(0) { $0 + Int(scores[$1.offset, $1.element]) }
  }

  private static func greedy(_ shared: [[Int]: Int]) -> Int {
    var (rows, columns, right) = (Set<Int>(), Set<Int>(), 0)
    for (place, count) in shared.sorted(by: { ($1.value, $0.key[0]) < ($0.value, $1.key[0]) })
    where !rows.contains(place[0]) && !columns.contains(place[1]) {
      rows.insert(place[0])
      columns.insert(place[1])
      right += count
    }
    return right
  }
}
