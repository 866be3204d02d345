import Models
import Masking
import Numerics
import Testing

/// A small transformer written out: the spaces and rules as the resolver gets them from the training side, and the same
/// computation on a tape.
struct TransformerFixture: Sendable, CustomTestStringConvertible {
  typealias Node = GradientTape.Node
  typealias Forward = @Sendable (GradientTape, Leaves, _ tokens: Node, _ pooled: Int) -> Node

  /// The parameters on a tape.
  struct Leaves {
    let nodes: [String: Node]

    func node(_ name: String) -> Node {
      guard let node = nodes[name] else { preconditionFailure("the fixture has no parameter \(name)") }
      return node
    }
  }

  struct Rules: LayerRules {
    let name: String
    var parameters: [ParameterSpecification] = []
    var constraints: [SpaceConstraint] = []
  }

  let testDescription: String
  private let spaces: [Space]
  private let layers: [Rules]
  let forward: Forward

  init(_ name: String, _ spaces: [Space], _ layers: [Rules], forward: @escaping Forward) {
    testDescription = name
    self.spaces = spaces
    self.layers = layers
    self.forward = forward
  }

  static let tokens = 5
  static let width = 12
  static let headWidth = 4
  static let hidden = 10
  static let outputs = 7

  var parameters: [ParameterSpecification] { layers.flatMap(\.parameters) }

  func structure(_ more: [SpaceConstraint] = []) -> ModelStructure {
    ModelStructure(
      spaces: spaces, layers: layers + [Rules(name: "more", constraints: more)], input: SpaceID("residual"),
      output: SpaceID("output"))
  }

  func plan(
    _ strength: MaskingStrength, optimizer: OptimizerDescription.Kind = .sgd, exact: Bool = true,
    location: LossLocation = .owner, more: [SpaceConstraint] = []
  ) throws(MaskingError) -> KeyPlan {
    try KeyResolver.resolve(
      structure: structure(more), masking: MaskingDescription(strength: strength, padding: 0, exact: exact),
      optimizer: OptimizerDescription(
        kind: optimizer, learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: LossRules.constraint(
        on: SpaceID("output"), task: .classification, location: location, labelsMissing: false))
  }

  /// What one pass gives: outputs, and the gradients of the input and of every parameter by name.
  struct Pass {
    let outputs: NaiveMatrix
    let inputGradient: NaiveMatrix
    let gradients: [String: NaiveMatrix]
  }

  func run(
    _ parameters: [String: NaiveMatrix], _ tokens: NaiveMatrix, pooled: Int = 0, outputGradient: NaiveMatrix
  ) -> Pass {
    let tape = GradientTape()
    let leaves = parameters.mapValues { tape.leaf($0) }
    let input = tape.leaf(tokens)
    let result = forward(tape, Leaves(nodes: leaves), input, pooled)
    tape.differentiate(result, along: outputGradient)
    return Pass(outputs: result.value, inputGradient: input.gradient, gradients: leaves.mapValues(\.gradient))
  }

  /// Softmax attention of heads: head h reads group h / (heads / groups).
  static func attention(
    _ tape: GradientTape, _ query: Node, _ key: Node, _ value: Node, heads: Int, groups: Int, frequencies: [Double]?
  ) -> Node {
    func head(_ node: Node, _ index: Int) -> Node {
      tape.columns(node, index * headWidth..<(index + 1) * headWidth)
    }
    func placed(_ node: Node) -> Node { frequencies.map { tape.turnedByPosition(node, $0) } ?? node }
    return tape.joined(
      (0..<heads).map { index in
        let group = index / (heads / groups)
        let scores = tape.product(placed(head(query, index)), tape.transposed(placed(head(key, group))))
        let shares = tape.softmax(
          tape.scaled(scores, 1 / Double(headWidth).squareRoot()), isCausal: frequencies != nil)
        return tape.product(shares, head(value, group))
      })
  }

  static func apply(_ activation: Activation, _ tape: GradientTape, _ node: Node) -> Node {
    tape.applied(node, activation.value, slope: activation.slope)
  }

  /// A linear layer's parameters and what it allows.
  static func linear(_ name: String, _ reads: Space, _ writes: Space, bias: Bool) -> Rules {
    var rules = Rules(name: name)
    rules.parameters = [
      ParameterSpecification(
        name: "\(name).weight", shape: [writes.width, reads.width], rows: writes.id, columns: reads.id)
    ]
    if bias {
      rules.parameters.append(
        ParameterSpecification(name: "\(name).bias", shape: [writes.width], rows: writes.id, columns: nil))
    }
    rules.constraints = [reads, writes].map {
      SpaceConstraint(space: $0.id, largest: .orthogonal, reason: "linear \(name)")
    }
    return rules
  }

  static func constraint(_ space: Space, _ largest: SymmetryGroup, _ reason: String) -> Rules {
    Rules(name: reason, constraints: [SpaceConstraint(space: space.id, largest: largest, reason: reason)])
  }
}
