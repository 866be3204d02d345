import Tensors

/// How many items a clustering puts right when its clusters are given the classes' names in the best way.
enum ClusterMatching {
  /// Above so many, clusters take classes greedily by how much they share: the best matching of vocabularies takes too long.
  private static let mostExactly = 1024

  static func accuracy(_ clusters: [Int], _ classes: [Int]) -> Double {
    guard !clusters.isEmpty else { return 0 }
    let (rowOf, columnOf) = (numbers(clusters), numbers(classes))
    var shared: [[Int]: Int] = [:]
    for (cluster, label) in zip(clusters, classes) {
      shared[[rowOf[cluster] ?? 0, columnOf[label] ?? 0], default: 0] += 1
    }
    let right =
      max(rowOf.count, columnOf.count) <= mostExactly
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
