import Cryptography
import Models
import Masking
import Numerics
import Testing

/// unmask(layer(mask x)) = layer(x), and the same for every gradient, on random networks.
///
/// Tolerance: numbers of order 1 pass three layers of at most 24 terms, each masked and unmasked by two products of at most
/// 24 terms; with 2⁻⁵³ a term and everything adding up at worst, 9 · 24 · 1.1e-16 · (growth of the layers, below 10) ≈ 2e-13.
/// Relative to the largest entry: 1e-12.
@Suite struct EquivarianceTests {
  private static let tolerance = 1e-12

  struct Case: Sendable, CustomTestStringConvertible {
    let strength: MaskingStrength
    let activation: Activation
    let location: LossLocation
    let hidden: [Int]

    var testDescription: String { "\(strength) \(activation) loss at \(location), hidden \(hidden)" }

    static let all: [Case] = MaskingStrength.allCases.flatMap { strength in
      Activation.allCases.flatMap { activation in
        LossLocation.allCases.flatMap { location in
          [[], [9], [24, 7]].map { Case(strength: strength, activation: activation, location: location, hidden: $0) }
        }
      }
    }
  }

  private func gaussian(_ stream: KeyStream, _ shape: [Int], scale: Double = 1) -> Tensor<Double> {
    var tensor = Tensor<Double>(uninitialized: shape)
    tensor.withUnsafeMutableBufferPointer { stream.fillGaussian($0) }
    for index in 0..<tensor.count { tensor[index] *= scale }
    return tensor
  }

  @Test(arguments: Case.all) func outputsAndGradientsUnmaskToThoseOfThePlainNetwork(_ job: Case) throws {
    let fixture = MLPFixture(features: 11, padding: 3, hidden: job.hidden, activation: job.activation, outputs: 5)
    let stream = KeyStream(secret: Array("\(job.testDescription)".utf8), label: "network")
    let keys = try fixture.keys(job.strength, location: job.location)
    let rows = gaussian(stream, [6, 11])
    // [x; 1; 0_k]
    let homogeneous = NaiveMatrix(rows: 6, columns: 15) { row, column in
      column < 11 ? rows[row, column] : column == 11 ? 1 : 0
    }
    // [W | b | 0_k]: zeros under the padding.
    let parameters = fixture.parameters.map { specification in
      var parameter = gaussian(stream, specification.shape, scale: 0.4)
      if let layout = specification.homogeneous {
        for row in 0..<parameter.rows {
          for column in layout.features + 1..<layout.width { parameter[row, column] = 0 }
        }
      }
      return parameter
    }
    let outputGradient = gaussian(stream, [6, 5])
    func matrix(_ tensor: Tensor<Double>) -> NaiveMatrix {
      NaiveMatrix(rows: tensor.rows, columns: tensor.columns, tensor.elements)
    }

    let plain = NaiveMLP(activation: job.activation, parameters: parameters.map(matrix))
    let masked = NaiveMLP(
      activation: job.activation,
      parameters: try keys.maskParameters(parameters, fixture.parameters).map(matrix))
    let maskedRows = matrix(try keys.maskInputs(rows))
    let maskedGradient = matrix(try keys.maskOutputGradient(outputGradient))

    let outputs = try keys.unmaskOutputs(masked.outputs(maskedRows).tensor)
    #expect(plain.outputs(homogeneous).relativeDistance(to: matrix(outputs)) < Self.tolerance)
    let gradients = plain.gradients(homogeneous, outputGradient: matrix(outputGradient))
    let maskedGradients = masked.gradients(maskedRows, outputGradient: maskedGradient)
    for (index, specification) in fixture.parameters.enumerated() {
      let tensor = Tensor(maskedGradients[index].elements, shape: specification.shape)
      let unmasked = matrix(try keys.unmaskParameter(tensor, specification))
      #expect(gradients[index].relativeDistance(to: unmasked) < Self.tolerance, "\(specification.name)")
    }
    let back = matrix(try keys.unmaskInputs(maskedRows.tensor))
    #expect(matrix(rows).relativeDistance(to: back) < Self.tolerance)
    let returned = try keys.unmaskParameters(
      keys.maskParameters(parameters, fixture.parameters), fixture.parameters)
    for (parameter, back) in zip(parameters, returned) {
      #expect(matrix(parameter).relativeDistance(to: matrix(back)) < Self.tolerance)
    }
  }

  /// The negative control: with a key that is not the group's, nothing fits. A rotation on a ReLU space.
  @Test func aRotationDoesNotCommuteWithReLU() throws {
    let fixture = MLPFixture(features: 4, padding: 1, hidden: [6], activation: .relu, outputs: 2)
    let hidden = KeyPlanRow(space: SpaceID("hidden.0"), width: 6, group: .orthogonal, decidedBy: "test")
    let plan = try fixture.plan(.rotation)
    let wrong = KeyPlan(rows: [plan.input, hidden, plan.output], input: plan.input, output: plan.output)
    let keys = JobKeys<Double>(master: MasterKey(), plan: wrong, compute: Compute(threads: 1))
    let stream = KeyStream(secret: Array("control".utf8), label: "network")
    let rows = gaussian(stream, [5, 4])
    let parameters = fixture.parameters.map { gaussian(stream, $0.shape) }
    let homogeneous = NaiveMatrix(rows: 5, columns: 6) { $1 < 4 ? rows[$0, $1] : $1 == 4 ? 1 : 0 }
    func network(_ parameters: [Tensor<Double>]) -> NaiveMLP {
      NaiveMLP(
        activation: .relu,
        parameters: parameters.map { NaiveMatrix(rows: $0.rows, columns: $0.columns, $0.elements) })
    }
    let masked = network(try keys.maskParameters(parameters, fixture.parameters))
      .outputs(NaiveMatrix(try keys.maskInputs(rows)))
    let outputs = NaiveMatrix(try keys.unmaskOutputs(masked.tensor))
    #expect(network(parameters).outputs(homogeneous).relativeDistance(to: outputs) > 0.01)
  }
}
