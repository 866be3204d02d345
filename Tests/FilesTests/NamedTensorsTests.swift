import Numerics
import Testing

@testable import Files

@Suite struct NamedTensorsTests {
  private func tensor(_ value: Float) -> Tensor<Float> { Tensor([value], shape: [1]) }

  @Test func orderIsThatOfFirstSetting() {
    var tensors = NamedTensors([("b", tensor(1)), ("a", tensor(2)), ("b", tensor(3))])
    #expect(tensors.names == ["b", "a"])
    #expect(tensors["b"] == tensor(3))
    #expect(tensors[1].tensor == tensor(2))
    #expect(tensors["c"] == nil)
    tensors["b"] = nil
    tensors["c"] = tensor(4)
    tensors["missing"] = nil
    #expect(tensors.map(\.name) == ["a", "c"])
    #expect(tensors["c"] == tensor(4))
    #expect(
      tensors.descriptions == [TensorDescription(name: "a", shape: [1]), TensorDescription(name: "c", shape: [1])])
  }

  @Test func orderIsPartOfEquality() {
    let one = NamedTensors([("a", tensor(1)), ("b", tensor(2))])
    let other = NamedTensors([("b", tensor(2)), ("a", tensor(1))])
    #expect(one != other)
  }
}
