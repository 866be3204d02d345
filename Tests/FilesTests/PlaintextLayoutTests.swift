import Models
import Numerics
import Testing

@testable import Files

@Suite struct PlaintextLayoutTests {
  private static let columns = HomogeneousColumns(features: 2, padding: 1)

  /// A network 2 → 2 → 1 whose first layer reads [x; 1; 0].
  private static let specifications = [
    ParameterSpecification(
      name: "layers.0.weight", shape: [2, 4], rows: SpaceID("hidden.0"), columns: SpaceID("input"),
      homogeneous: columns, biasName: "layers.0.bias"),
    ParameterSpecification(
      name: "layers.1.weight", shape: [1, 2], rows: SpaceID("output"), columns: SpaceID("hidden.0")),
    ParameterSpecification(name: "layers.1.bias", shape: [1], rows: SpaceID("output"), columns: nil),
  ]

  private static let trained = NamedTensors<Double>([
    ("layers.0.weight", Tensor([1, 2, 10, 0, 3, 4, 20, 0], shape: [2, 4])),
    ("layers.1.weight", Tensor([5, 6], shape: [1, 2])), ("layers.1.bias", Tensor([7], shape: [1])),
  ])

  private static let plaintext = NamedTensors<Double>([
    ("layers.0.weight", Tensor([1, 2, 3, 4], shape: [2, 2])), ("layers.0.bias", Tensor([10, 20], shape: [2])),
    ("layers.1.weight", Tensor([5, 6], shape: [1, 2])), ("layers.1.bias", Tensor([7], shape: [1])),
  ])

  @Test func theFirstLayerIsSplitAndJoined() throws {
    #expect(
      try PlaintextLayout.plaintextTensors(from: Self.trained, specifications: Self.specifications) == Self.plaintext)
    #expect(
      try PlaintextLayout.trainedTensors(from: Self.plaintext, specifications: Self.specifications) == Self.trained)
  }

  @Test func roundingErrorInThePaddingIsDropped() throws {
    var trained = Self.trained
    trained["layers.0.weight"] = Tensor([1, 2, 10, 1e-17, 3, 4, 20, -1e-17], shape: [2, 4])
    #expect(try PlaintextLayout.plaintextTensors(from: trained, specifications: Self.specifications) == Self.plaintext)
  }

  @Test func anotherShapeIsRefused() {
    var trained = Self.trained
    trained["layers.0.weight"] = Tensor(zeros: [2, 3])
    #expect(
      throws: CheckpointError.layout(.shape(name: "layers.0.weight", expected: [2, 4], found: [2, 3]))
    ) {
      try PlaintextLayout.plaintextTensors(from: trained, specifications: Self.specifications)
    }
    var plaintext = Self.plaintext
    plaintext["layers.0.bias"] = Tensor(zeros: [3])
    #expect(throws: CheckpointError.layout(.shape(name: "layers.0.bias", expected: [2], found: [3]))) {
      try PlaintextLayout.trainedTensors(from: plaintext, specifications: Self.specifications)
    }
  }

  @Test func aMissingTensorIsNamed() {
    var plaintext = Self.plaintext
    plaintext["layers.0.bias"] = nil
    #expect(throws: CheckpointError.layout(.missingTensor("layers.0.bias"))) {
      try PlaintextLayout.trainedTensors(from: plaintext, specifications: Self.specifications)
    }
  }

  @Test func aTensorTooManyIsNamed() {
    var trained = Self.trained
    trained["layers.9.weight"] = Tensor(zeros: [1])
    #expect(throws: CheckpointError.layout(.unexpectedTensor("layers.9.weight"))) {
      try PlaintextLayout.plaintextTensors(from: trained, specifications: Self.specifications)
    }
  }

  @Test(arguments: [([2, 4], nil), ([2, 3], "bias"), ([8], "bias"), ([], "bias")] as [([Int], String?)])
  func aHomogeneousSpecificationThatIsNone(shape: [Int], biasName: String?) {
    let specification = ParameterSpecification(
      name: "w", shape: shape, rows: SpaceID("a"), columns: SpaceID("b"), homogeneous: Self.columns, biasName: biasName)
    #expect(throws: CheckpointError.layout(.malformedSpecification("w"))) {
      try PlaintextLayout.trainedTensors(from: Self.plaintext, specifications: [specification])
    }
    #expect(throws: CheckpointError.layout(.malformedSpecification("w"))) {
      try PlaintextLayout.plaintextTensors(
        from: NamedTensors([("w", Tensor<Double>(zeros: shape))]), specifications: [specification])
    }
  }
}
