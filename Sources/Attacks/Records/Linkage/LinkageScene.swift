import Architecture
import Exposure
import Tensors

/// Candidates and masked records side by side, with all that is compared of them.
struct LinkageScene: Sendable {
  /// As a key would act on them, `[candidates, width]`.
  let candidates: Tensor<Double>
  let norms: [Double]
  let lengths: [Int32]
  /// Of the masked records.
  let rowNorms: [Double]
  let rowLengths: [Int32]
  /// Residuals of what a key leaves of a single record, `[candidates, rows]`.
  let singles: Tensor<Double>
  let usesNorms: Bool
  /// ‖x'_r − x'_s‖² of the masked records, `[rows, rows]`, rounded to what the rows are.
  let distances: Tensor<Float>

  var rows: Int { rowLengths.count }
  var width: Int { candidates.columns }
  var meanSquare: Double { norms.reduce(0, +) / Double(max(1, norms.count)) }

  init(candidates known: Records, view: ProviderView, workers: Workers) {
    let records = view.records
    candidates = known.lifted(to: records.vectors.columns, view.inputLayout)
    norms = candidates.squaredNorms
    lengths = known.lengths
    rowNorms = records.vectors.squaredNorms
    rowLengths = records.lengths
    let masked = RecordSignatures(records.vectors, group: view.inputGroup, workers: workers)
    singles = RecordSignatures(candidates, group: view.inputGroup, workers: workers)
      .residuals(to: masked, workers: workers)
    usesNorms = masked.areNorms
    distances = records.vectors.squaredDistances(to: records.vectors, workers: workers).converted()
  }

  /// ‖c_i − c_j‖² of two candidates.
  func distance(_ first: Int, _ second: Int) -> Double {
    candidates.withUnsafeBufferPointer { elements in
      var sum = 0.0
      for column in 0..<width {
        let difference = elements[first * width + column] - elements[second * width + column]
        sum += difference * difference
      }
      return sum
    }
  }
}
