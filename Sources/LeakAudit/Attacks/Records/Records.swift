package import Models
package import Numerics

/// Records as vectors, masked or not: the rows themselves, or the mean of each sample's rows.
///
/// The mean of masked rows is the mask of the mean, so that all that holds of rows holds of means.
package struct Records: Sendable {
  /// `[n, width]`.
  package let vectors: Tensor<Double>
  /// How many rows each was made of, which masking does not hide; 1 where a record is a row.
  package let lengths: [Int32]

  package var count: Int { lengths.count }

  /// - Parameters:
  ///   - rows: `[tokens or records, width]`.
  ///   - lengths: rows of each sample, one after the other; nil where a sample is one row. Samples without rows, and those that go
  ///     beyond the last row, are left out.
  package init(rows: Tensor<Float>, lengths: [Int32]?) {
    guard let lengths else {
      vectors = rows.converted()
      self.lengths = Array(repeating: 1, count: rows.rows)
      return
    }
    let width = rows.columns
    var means: [Double] = []
    var kept: [Int32] = []
    var start = 0
    rows.withUnsafeBufferPointer { elements in
      for length in lengths where length > 0 {
        let end = start + Int(length)
        guard end <= rows.rows else { break }
        var sums = [Double](repeating: 0, count: width)
        for row in start..<end {
          for column in 0..<width { sums[column] += Double(elements[row * width + column]) }
        }
        means.append(contentsOf: sums.lazy.map { $0 / Double(length) })
        kept.append(length)
        start = end
      }
    }
    vectors = Tensor(means, shape: [kept.count, width])
    self.lengths = kept
  }

  package init(vectors: Tensor<Double>, lengths: [Int32]) {
    self.vectors = vectors
    self.lengths = lengths
  }

  /// Plaintext records of the same kind of data that are not in the view; nil where the public's rows cannot be told apart into samples.
  package init?(sampleOf knowledge: PublicKnowledge, like view: ProviderView) {
    guard view.lengths != nil else {
      self.init(rows: knowledge.sampleRows, lengths: nil)
      return
    }
    guard let lengths = knowledge.sampleTexts?.map({ Int32($0.count) }),
      lengths.reduce(0, { $0 + Int($1) }) == knowledge.sampleRows.rows
    else { return nil }
    self.init(rows: knowledge.sampleRows, lengths: lengths)
  }

  package func selecting(_ numbers: [Int]) -> Records {
    Records(vectors: vectors.selecting(rows: numbers), lengths: numbers.map { lengths[$0] })
  }

  /// This, then the other's.
  package func joined(with other: Records) -> Records {
    Records(
      vectors: Tensor(vectors.elements + other.vectors.elements, shape: [count + other.count, vectors.columns]),
      lengths: lengths + other.lengths)
  }

  /// What tells a record from others: two with the same content are the same record to any attack.
  ///
  /// Means of the same rows in another order differ by rounding, which is cut off.
  package func content(_ number: Int) -> [Float] {
    let width = vectors.columns
    return vectors.withUnsafeBufferPointer { elements in
      [Float(lengths[number])] + elements[number * width..<(number + 1) * width].map { Float($0) }
    }
  }

  /// The vectors as they are before a key acts on them: [x; 1; 0_k] in homogeneous coordinates, else filled up with zeros.
  package func lifted(to width: Int, _ layout: HomogeneousColumns?) -> Tensor<Double> {
    let known = min(vectors.columns, width)
    var result = Tensor<Double>(zeros: [count, width])
    result.withUnsafeMutableBufferPointer { target in
      vectors.withUnsafeBufferPointer { source in
        for record in 0..<count {
          for column in 0..<known {
            target[record * width + column] = source[record * vectors.columns + column]
          }
          if layout != nil, known < width { target[record * width + known] = 1 }
        }
      }
    }
    return result
  }
}

extension ProviderView {
  /// Set when rows arrive in homogeneous coordinates, which the shapes of the first layer's weights tell.
  package var inputLayout: HomogeneousColumns? {
    parameters.first { $0.columns == input && $0.homogeneous != nil }?.homogeneous
  }

  package var records: Records { Records(rows: inputs, lengths: lengths) }
}

/// What a key of a group leaves of a single record: its length under rotations, its sorted values under permutations, all of it where
/// there is no key.
package struct RecordSignatures: Sendable {
  /// `[n, 1]` squared norms, or `[n, width]`.
  package let values: Tensor<Double>
  /// Whether `values` are norms; then what a key keeps is one number, which noise adds to.
  package let areNorms: Bool

  /// - Parameter vectors: as a key acts on them, homogeneous.
  package init(_ vectors: Tensor<Double>, group: SymmetryGroup, compute: Compute) {
    areNorms = group == .orthogonal
    switch group {
    case .orthogonal: values = Tensor(vectors.squaredNorms, shape: [vectors.rows, 1])
    case .trivial: values = vectors
    case .permutation: values = Self.sorted(vectors, compute: compute) { $0 }
    case .signedPermutation: values = Self.sorted(vectors, compute: compute) { abs($0) }
    }
  }

  private static func sorted(
    _ vectors: Tensor<Double>, compute: Compute, _ value: (Double) -> Double
  ) -> Tensor<Double> {
    let width = vectors.columns
    let rows = vectors.withUnsafeBufferPointer { elements in
      (0..<vectors.rows).flatMap { row in
        elements[row * width..<(row + 1) * width].map(value).sorted()
      }
    }
    return Tensor(rows, shape: vectors.shape)
  }

  /// How far each of these is from each of the other's: the difference of squared norms (other − this), or the distance (never negative).
  /// `[rows, other rows]`.
  package func residuals(to other: RecordSignatures, compute: Compute) -> Tensor<Double> {
    guard areNorms else {
      var distances = values.squaredDistances(to: other.values, compute: compute)
      distances.withUnsafeMutableBufferPointer { elements in
        for index in elements.indices { elements[index] = elements[index].squareRoot() }
      }
      return distances
    }
    var differences = Tensor<Double>(uninitialized: [values.rows, other.values.rows])
    let count = other.values.rows
    differences.withUnsafeMutableBufferPointer { elements in
      for row in 0..<values.rows {
        for column in 0..<count { elements[row * count + column] = other.values[column] - values[row] }
      }
    }
    return differences
  }
}
