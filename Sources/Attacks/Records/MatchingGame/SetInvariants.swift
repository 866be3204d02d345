import Architecture
import Foundation
import Tensors

/// What a key leaves of a set of records in any order.
struct SetInvariants {
  private let norms: [Double]
  /// `[n, n − 1]`: of each record the squared distances to the others, in ascending order.
  private let profiles: Tensor<Double>
  /// All squared distances, in ascending order.
  private let distances: [Double]
  /// Squared singular values of the centred records, ascending; empty where they could not be had.
  private let spectrum: [Double]
  /// Sorted or plain values; nil where a key leaves only the norm.
  private let signatures: Tensor<Double>?
  private let lengths: [Int32]
  private let workers: Workers

  /// - Parameter records: masked, or as a key would act on them.
  init(_ records: Records, group: SymmetryGroup, workers: Workers) {
    let vectors = records.vectors
    let count = vectors.rows
    self.workers = workers
    norms = vectors.squaredNorms
    lengths = records.lengths.sorted()
    let own = RecordSignatures(vectors, group: group, workers: workers)
    signatures = own.areNorms ? nil : own.values
    let table = vectors.squaredDistances(to: vectors, workers: workers)
    let sorted = (0..<count).map { row in
      (0..<count).filter { $0 != row }.map { table[row * count + $0] }.sorted()
    }
    profiles = Tensor(sorted.flatMap { $0 }, shape: [count, max(0, count - 1)])
    distances = sorted.flatMap { $0 }.sorted()
    // −½ J D J is the Gram matrix of the centred records.
    let means = (0..<count).map { row in (0..<count).reduce(0.0) { $0 + table[row * count + $1] } / Double(count) }
    let mean = means.reduce(0, +) / Double(max(1, count))
    var gram = Tensor<Double>(zeros: [count, count])
    for row in 0..<count {
      for column in 0..<count {
        gram[row * count + column] = -(table[row * count + column] - means[row] - means[column] + mean) / 2
      }
    }
    spectrum = (try? SymmetricEigenvectors(of: gram).values) ?? []
  }

  func hasLengths(of other: SetInvariants) -> Bool { lengths == other.lengths }

  /// How much more this looks like `first` than like `second`: the sum over invariants of the logarithms of how much farther off the second
  /// is. 0 where nothing tells them apart.
  func likeness(of first: SetInvariants, over second: SetInvariants) -> Double {
    zip(deviations(from: first), deviations(from: second)).reduce(0) { sum, pair in sum + log(pair.1 / pair.0) }
  }

  /// Sums of squares, each above what rounding leaves.
  private func deviations(from plain: SetInvariants) -> [Double] {
    // Noise makes all distances longer by as much.
    let longer = max(0, Self.mean(distances) - Self.mean(plain.distances))
    let scale = 1e-6 * (Self.mean(norms) + Self.mean(plain.norms))
    let floor = scale * scale * Double(max(1, distances.count))
    var sums = [
      Self.sum(distances, plain.distances, shift: longer),
      Self.sum(norms.sorted(), plain.norms.sorted(), shift: longer / 2),
      Self.sum(spectrum, plain.spectrum, shift: longer / 2),
      assigned(profiles.shifted(by: -longer), plain.profiles),
    ]
    if let signatures, let other = plain.signatures { sums.append(assigned(signatures, other)) }
    return sums.map { $0 + floor }
  }

  private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }

  private static func sum(_ seen: [Double], _ plain: [Double], shift: Double) -> Double {
    zip(seen, plain).reduce(0) { $0 + ($1.0 - shift - $1.1) * ($1.0 - shift - $1.1) }
  }

  /// The least sum of squares when each record is taken for another.
  private func assigned(_ seen: Tensor<Double>, _ plain: Tensor<Double>) -> Double {
    guard seen.rows == plain.rows, seen.rows > 0 else { return 0 }
    var scores = seen.squaredDistances(to: plain, workers: workers)
    scores.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices { elements[index] = -elements[index] }
    }
    return LinearAssignment.maximum(scores).enumerated()
      .reduce(0) { $0 - scores[$1.offset * seen.rows + $1.element] }
  }
}

extension Tensor<Double> {
  fileprivate func shifted(by amount: Double) -> Tensor {
    var result = self
    result.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices { elements[index] += amount }
    }
    return result
  }
}
