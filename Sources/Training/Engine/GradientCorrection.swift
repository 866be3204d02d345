package import Numerics

/// Something that is added to a step's gradients beside those of the loss: a pull towards other weights, the difference between a site's
/// direction and that of all sites, or noise.
///
/// Called on the engine's thread. What is added must not depend on anything but the weights and the step's number, so that a step can be
/// repeated.
package protocol GradientCorrection<Element> {
  associatedtype Element: FloatingElement

  /// - Parameters:
  ///   - number: of the trained parameter, in their order.
  ///   - step: t.
  ///   - weights: before the step, row-major.
  ///   - gradient: of the mean loss; as many elements.
  func add(
    _ number: Int, step: Int, weights: UnsafeBufferPointer<Element>,
    to gradient: UnsafeMutableBufferPointer<Element>)
}

/// The gradient of (μ/2) ‖θ − θ₀‖² (FedProx: Li et al., 2020, equation 2).
package struct ProximalTerm<Element: FloatingElement>: GradientCorrection {
  private let strength: Element
  private let origin: [Tensor<Element>]

  /// - Parameters:
  ///   - strength: μ, at least 0.
  ///   - origin: θ₀, the trained parameters in their order.
  package init(strength: Double, origin: [Tensor<Element>]) {
    self.strength = Element(strength)
    self.origin = origin
  }

  package func add(
    _ number: Int, step: Int, weights: UnsafeBufferPointer<Element>,
    to gradient: UnsafeMutableBufferPointer<Element>
  ) {
    origin[number].withUnsafeBufferPointer { origin in
      for index in gradient.indices { gradient[index] += strength * (weights[index] - origin[index]) }
    }
  }
}

/// c − c_k, the same in all steps of a round (SCAFFOLD: Karimireddy et al., 2020, equation 3).
package struct ControlVariates<Element: FloatingElement>: GradientCorrection {
  private let difference: [Tensor<Element>]

  /// - Parameter difference: c − c_k of the trained parameters in their order.
  package init(difference: [Tensor<Element>]) {
    self.difference = difference
  }

  package func add(
    _ number: Int, step: Int, weights: UnsafeBufferPointer<Element>,
    to gradient: UnsafeMutableBufferPointer<Element>
  ) {
    difference[number].withUnsafeBufferPointer { difference in
      for index in gradient.indices { gradient[index] += difference[index] }
    }
  }
}

/// Several corrections, one after the other.
package struct CombinedCorrection<Element: FloatingElement>: GradientCorrection {
  private let parts: [any GradientCorrection<Element>]

  package init(_ parts: [any GradientCorrection<Element>]) {
    self.parts = parts
  }

  package func add(
    _ number: Int, step: Int, weights: UnsafeBufferPointer<Element>,
    to gradient: UnsafeMutableBufferPointer<Element>
  ) {
    for part in parts { part.add(number, step: step, weights: weights, to: gradient) }
  }
}
