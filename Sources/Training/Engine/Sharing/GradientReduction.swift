package import Tensors

/// Adds up the gradients of several engines that share a batch (data parallelism).
///
/// All replicas call `start` with memory of the same sizes in the same order, and then `finish`.
package protocol GradientReduction<Element>: AnyObject {
  associatedtype Element: FloatingElement

  /// How many engines take part.
  var replicas: Int { get }

  /// Starts to replace `elements` by their sums over all replicas and returns at once. The memory is the reduction's until
  /// `finish` returns. The sums have the same bits at every replica.
  func start(_ elements: UnsafeMutableBufferPointer<Element>)

  /// Waits for all sums that were started.
  ///
  /// - Returns: whether they are there; false when a replica is gone.
  func finish() -> Bool
}
