import Cryptography
import Foundations
import Models
import Numerics

@testable import Masking

/// A perceptron as the resolver sees it, with the rules that each layer states.
struct MLPFixture {
  struct Rules: LayerRules {
    let name: String
    var parameters: [ParameterSpecification] = []
    var constraints: [SpaceConstraint] = []
  }

  let layout: HomogeneousColumns
  let structure: ModelStructure
  let activation: Activation

  var parameters: [ParameterSpecification] { structure.parameters }

  init(features: Int = 5, padding: Int = 2, hidden: [Int] = [6, 4], activation: Activation = .relu, outputs: Int = 3) {
    let layout = HomogeneousColumns(features: features, padding: padding)
    self.layout = layout
    self.activation = activation
    let widths = [layout.width] + hidden + [outputs]
    let spaces = widths.indices.map { index in
      let name = index == 0 ? "input" : index == widths.count - 1 ? "output" : "hidden.\(index - 1)"
      return Space(id: SpaceID(name), width: widths[index], homogeneous: index == 0 ? layout : nil)
    }
    var layers: [Rules] = []
    for index in 0..<widths.count - 1 {
      let (reads, writes) = (spaces[index], spaces[index + 1])
      let name = "layers.\(index)"
      var linear = Rules(name: name)
      linear.parameters = [
        ParameterSpecification(
          name: "\(name).weight", shape: [writes.width, reads.width], rows: writes.id, columns: reads.id,
          homogeneous: reads.homogeneous, biasName: index == 0 ? "\(name).bias" : nil)
      ]
      if index > 0 {
        linear.parameters.append(
          ParameterSpecification(name: "\(name).bias", shape: [writes.width], rows: writes.id, columns: nil))
      }
      linear.constraints = [
        SpaceConstraint(space: reads.id, largest: .orthogonal, reason: "linear \(name)"),
        SpaceConstraint(space: writes.id, largest: .orthogonal, reason: "linear \(name)"),
      ]
      layers.append(linear)
      if index < widths.count - 2 {
        layers.append(
          Rules(
            name: "\(activation.rawValue).\(index)",
            constraints: [
              SpaceConstraint(
                space: writes.id, largest: activation.largestGroup, reason: "\(activation.rawValue) after \(name)")
            ]))
      }
    }
    structure = ModelStructure(
      spaces: spaces, layers: layers, input: spaces[0].id, output: spaces[spaces.count - 1].id)
  }

  func plan(
    _ strength: MaskingStrength, optimizer: OptimizerDescription.Kind = .sgd, exact: Bool = true,
    location: LossLocation = .owner, task: LearningTask = .classification, labelsMissing: Bool = false
  ) throws(MaskingError) -> KeyPlan {
    try KeyResolver.resolve(
      structure: structure,
      masking: MaskingDescription(strength: strength, padding: layout.padding, exact: exact),
      optimizer: OptimizerDescription(
        kind: optimizer, learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: LossRules.constraint(
        on: structure.output, task: task, location: location, labelsMissing: labelsMissing))
  }

  func keys(
    _ strength: MaskingStrength, location: LossLocation = .owner, task: LearningTask = .classification,
    master: MasterKey = MasterKey(), threads: Int = 1
  ) throws(MaskingError) -> JobKeys<Double> {
    JobKeys(
      master: master, plan: try plan(strength, location: location, task: task), compute: Compute(threads: threads))
  }
}

extension MasterKey {
  /// The same key in every run, so that the outcome of a test of random draws is too.
  static func fixed(seed: Int) -> MasterKey {
    let number = withUnsafeBytes(of: UInt64(seed).bigEndian) { Array($0) }
    return MasterKey(
      job: JobID(bytes: Array(repeating: 0, count: JobID.byteCount - number.count) + number),
      secret: Array(UInt8(0)..<32).withUnsafeBytes { SecretBuffer(copying: $0) })
  }
}
