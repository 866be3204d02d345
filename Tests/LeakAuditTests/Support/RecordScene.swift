import Models
import LeakAudit
import Numerics
import TestSupport

/// Plaintext records, what a key makes of them, and a public sample of the same kind: small cases whose answer is known.
struct RecordScene {
  static let compute = Compute(threads: 2)
  static let input = SpaceID("input")
  static let output = SpaceID("output")

  var rows: Tensor<Float>
  var sample: Tensor<Float>
  var lengths: [Int32]?
  var sampleTexts: [[Int32]]?
  var group = SymmetryGroup.orthogonal
  /// Of Gaussian noise on each coordinate before masking.
  var noise: Float = 0
  var outputs = Tensor<Float>(zeros: [0, 1])
  var outputGroup = SymmetryGroup.orthogonal
  var targets = ProviderTargets.classes([])
  /// Before masking; what `outputs` and `targets` are where nil.
  var plainOutputs: Tensor<Float>?
  var plainTargets: ProviderTargets?
  var labels = TrueLabels.classes([])
  var shadows: (any ShadowTraining)?

  init(rows: Tensor<Float>, sample: Tensor<Float>) {
    self.rows = rows
    self.sample = sample
  }

  /// Masks [x; 1; 0] in 32-bit floats, as a job does; the control is of the same rows with nothing done to them.
  func evidence(_ random: inout SplitMix) -> Evidence {
    let layout = HomogeneousColumns(features: rows.columns, padding: 1)
    let key = Self.key(layout.width, group, &random)
    let view = view(masked: masked(key, layout.width, &random), layout)
    var plain = self
    plain.noise = 0
    plain.group = .trivial
    plain.outputGroup = .trivial
    plain.outputs = plainOutputs ?? outputs
    plain.targets = plainTargets ?? targets
    let identity = Self.key(layout.width, .trivial, &random)
    func truth(_ key: Tensor<Double>) -> OwnerTruth {
      OwnerTruth(rows: rows, tokens: nil, positions: nil, labels: labels, inputKey: key)
    }
    return Evidence(
      masked: view, control: plain.view(masked: plain.masked(identity, layout.width, &random), layout),
      truth: truth(key), controlTruth: truth(identity),
      knowledge: PublicKnowledge(
        sampleRows: sample, sampleTexts: sampleTexts, baseWeights: nil, vocabulary: nil), traits: .sample(),
      shadows: shadows)
  }

  private func masked(_ key: Tensor<Double>, _ width: Int, _ random: inout SplitMix) -> Tensor<Float> {
    var inputs = Tensor<Float>(zeros: [rows.rows, width])
    for row in 0..<rows.rows {
      for column in 0..<rows.columns {
        inputs[row, column] = rows[row, column] + noise * Float(Self.normal(&random))
      }
      inputs[row, rows.columns] = 1
    }
    return inputs.times(key.converted(), otherTransposed: true, compute: Self.compute)
  }

  private func view(masked: Tensor<Float>, _ layout: HomogeneousColumns) -> ProviderView {
    let weight = ParameterSpecification(
      name: "layers.0.weight", shape: [outputs.columns, layout.width], rows: Self.output, columns: Self.input,
      homogeneous: layout)
    return ProviderView(
      inputs: masked, lengths: lengths, groups: [Self.input: group, Self.output: outputGroup], input: Self.input,
      parameters: [weight], initialWeights: [], finalWeights: [], outputs: outputs, targets: targets)
  }

  /// Haar enough for a test: the nearest rotation to a normal matrix, or a random order, with random signs where the group has them.
  static func key(_ width: Int, _ group: SymmetryGroup, _ random: inout SplitMix) -> Tensor<Double> {
    var matrix = Tensor<Double>(zeros: [width, width])
    guard group != .orthogonal else {
      for index in 0..<matrix.count { matrix[index] = normal(&random) }
      let isometry = try? SingularValues(of: matrix).nearestIsometry(tolerance: 0, compute: compute)
      return isometry ?? matrix
    }
    let order = group == .trivial ? Array(0..<width) : (0..<width).shuffled(using: &random)
    for (row, column) in order.enumerated() {
      matrix[row, column] = group == .signedPermutation && Bool.random(using: &random) ? -1 : 1
    }
    return matrix
  }

  /// The sum of twelve uniform numbers of variance 1/12.
  static func normal(_ random: inout SplitMix) -> Double {
    (0..<12).reduce(-6.0) { sum, _ in sum + Double.random(in: 0..<1, using: &random) }
  }

  static func normals(_ rows: Int, _ columns: Int, _ random: inout SplitMix) -> Tensor<Float> {
    Tensor((0..<rows * columns).map { _ in Float(normal(&random)) }, shape: [rows, columns])
  }

  /// Bits, each 1 with a probability of its own.
  static func fingerprints(_ rows: Int, shares: [Double], _ random: inout SplitMix) -> Tensor<Float> {
    Tensor(
      (0..<rows * shares.count).map { Double.random(in: 0..<1, using: &random) < shares[$0 % shares.count] ? 1 : 0 },
      shape: [rows, shares.count])
  }

  /// Knowledge, attempt and score of the masked view.
  static func measure<A: Attack>(
    _ attack: A, on evidence: Evidence, _ random: inout SplitMix, within limit: Duration = .seconds(60)
  ) throws -> Measurement {
    let knowledge = try attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    let claim = try attack.attempt(
      on: evidence.masked, knowing: knowledge, random: &random, until: Deadline(after: limit))
    return attack.score(claim, truth: evidence.truth)
  }

  /// The same knowledge tried on both views.
  static func measureBoth<A: Attack>(
    _ attack: A, on evidence: Evidence, _ random: inout SplitMix
  ) throws -> (masked: Measurement, control: Measurement) {
    let knowledge = try attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    var other = random
    let masked = try attack.attempt(
      on: evidence.masked, knowing: knowledge, random: &random, until: Deadline(after: .seconds(60)))
    let control = try attack.attempt(
      on: evidence.control, knowing: knowledge, random: &other, until: Deadline(after: .seconds(60)))
    return (
      attack.score(masked, truth: evidence.truth), attack.score(control, truth: evidence.controlTruth)
    )
  }
}

extension Measurement {
  func detail(_ name: String) -> Double? { details.first { $0.name == name }?.value }
}
