import Tensors

/// Numbers to compute with: small, distinct, the same in every run. No secret, so no cryptographic stream.
enum SampleData {
  /// Uniform in ±scale (Knuth's 64-bit linear congruential generator, The Art of Computer Programming 2, 3.3.4).
  static func uniform(_ shape: [Int], scale: Float = 1) -> Tensor<Float> {
    var tensor = Tensor<Float>(zeros: shape)
    var state: UInt64 = 1
    tensor.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        elements[index] = scale * (Float(state >> 40) / Float(1 << 23) - 1)
      }
    }
    return tensor
  }
}
