import Testing

@testable import Numerics

@Suite struct TensorTests {
  @Test func aCopyIsIndependent() {
    let original = Tensor<Float>([1, 2, 3, 4], shape: [2, 2])
    var copy = original
    copy[1, 0] = 9
    #expect(original.elements == [1, 2, 3, 4])
    #expect(copy.elements == [1, 2, 9, 4])
  }

  @Test func bytesOutliveTheTensorAndAreNotChangedByIt() {
    var tensor = Tensor<Int32>([1, 2], shape: [2])
    let bytes = tensor.bytes
    tensor[0] = 7
    #expect([UInt8](bytes) == [1, 0, 0, 0, 2, 0, 0, 0])
    #expect(Tensor<Int32>(bytes: bytes, shape: [2])?.elements == [1, 2])
  }

  @Test func bytesOfAnotherSizeAreRefused() {
    let bytes = Tensor<Int32>([1, 2], shape: [2]).bytes
    #expect(Tensor<Int32>(bytes: bytes, shape: [3]) == nil)
    #expect(Tensor<Int32>(bytes: bytes, shape: [-2]) == nil)
  }

  @Test func elementCountsThatOverflowAreNil() {
    #expect(Shape.elementCount([1 << 40, 1 << 40]) == nil)
    #expect(Shape.byteCount([1 << 62], .float64) == nil)
    #expect(Shape.byteCount([3, 5], .float64) == 120)
  }
}
