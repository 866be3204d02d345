import LeakAudit
import Models
import Numerics

/// A view of rows masked by a key that the test chose, and the truth behind it: x' = K [x; 1; 0_k], or K x without a constant.
struct SyntheticView {
  static let compute = Compute(threads: 2)
  let view: ProviderView
  let truth: OwnerTruth

  /// - Parameters:
  ///   - rows: `[n, d]`.
  ///   - key: `[w, w]`, w ≥ d; where w > d the rows get a constant 1 and w − d − 1 zeros.
  ///   - noise: added to the plaintext before it is masked, `[n, d]`; none where nil.
  ///   - firstLayer: `[h, w]` in plaintext: the provider sees it as W Kᵀ.
  init(
    rows: Tensor<Float>, key: Tensor<Double>, group: SymmetryGroup, noise: [Double]? = nil,
    firstLayer: Tensor<Double>? = nil
  ) {
    let (n, d, w) = (rows.rows, rows.columns, key.rows)
    var extended = Tensor<Double>(zeros: [n, w])
    for row in 0..<n {
      for column in 0..<d { extended[row, column] = Double(rows[row, column]) + (noise?[row * d + column] ?? 0) }
      if w > d { extended[row, d] = 1 }
    }
    let masked = extended.times(key, otherTransposed: true, compute: Self.compute)
    let space = SpaceID("input")
    var parameters: [ParameterSpecification] = []
    var weights: [Tensor<Float>] = []
    if let firstLayer {
      parameters = [
        ParameterSpecification(
          name: "layers.0.weight", shape: firstLayer.shape, rows: SpaceID("hidden.0"), columns: space)
      ]
      weights = [firstLayer.times(key, otherTransposed: true, compute: Self.compute).converted()]
    }
    view = ProviderView(
      inputs: masked.converted(), lengths: nil, groups: [space: group], input: space, parameters: parameters,
      initialWeights: weights, finalWeights: weights, outputs: Tensor(zeros: [n, 1]),
      targets: .gradients(Tensor(zeros: [n, 1])))
    truth = OwnerTruth(
      rows: rows, tokens: nil, positions: nil, labels: .classes([Int32](repeating: 0, count: n)), inputKey: key)
  }

  /// As the audit's evidence, whose control is the same rows with the identity for a key.
  func evidence(sample: Tensor<Float>) -> Evidence {
    let size = truth.inputKey.rows
    let control = SyntheticView(rows: truth.rows, key: Self.identity(size), group: .trivial)
    return Evidence(
      masked: view, control: control.view, truth: truth, controlTruth: control.truth,
      knowledge: PublicKnowledge(sampleRows: sample, sampleTexts: nil, baseWeights: nil, vocabulary: nil),
      traits: .sample(), shadows: nil)
  }

  static func identity(_ size: Int) -> Tensor<Double> {
    var key = Tensor<Double>(zeros: [size, size])
    for index in 0..<size { key[index, index] = 1 }
    return key
  }

  /// Uniform over the orthogonal matrices: the polar factor U Vᵀ of a Gaussian matrix (its distribution does not change when it is
  /// multiplied by an orthogonal matrix on either side).
  static func rotation(_ size: Int, random: inout some RandomNumberGenerator) throws -> Tensor<Double> {
    let gaussian = Tensor(GaussianNumbers.fill(size * size, random: &random), shape: [size, size])
    return try SingularValues(of: gaussian).nearestIsometry(tolerance: 0, compute: compute)
  }

  static func permutation(
    _ size: Int, signed: Bool, random: inout some RandomNumberGenerator
  ) -> Tensor<Double> {
    var key = Tensor<Double>(zeros: [size, size])
    for (row, column) in (0..<size).shuffled(using: &random).enumerated() {
      key[row, column] = signed && Bool.random(using: &random) ? -1 : 1
    }
    return key
  }
}

extension ProviderView {
  /// Only these of the parameters.
  func with(parameters kept: [Int]) -> ProviderView {
    ProviderView(
      inputs: inputs, lengths: lengths, isRotary: isRotary, groups: groups, input: input,
      parameters: kept.map { parameters[$0] },
      initialWeights: kept.map { initialWeights[$0] }, finalWeights: kept.map { finalWeights[$0] }, outputs: outputs,
      targets: targets)
  }

  func with(initialWeights: [Tensor<Float>]) -> ProviderView {
    ProviderView(
      inputs: inputs, lengths: lengths, isRotary: isRotary, groups: groups, input: input, parameters: parameters,
      initialWeights: initialWeights, finalWeights: finalWeights, outputs: outputs, targets: targets)
  }
}
