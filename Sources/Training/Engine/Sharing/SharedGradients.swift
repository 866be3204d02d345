package import Numerics

/// The gradients of an engine that shares its batches, in the order in which the backward pass completes them, and cut into
/// buckets whose sums start while it still runs.
///
/// Behind the last gradient stands a number that is 0 unless a replica gives the step up: its sum tells all of them.
final class SharedGradients<Element: FloatingElement> {
  /// Bytes after which a bucket's sum starts: large beside what starting one costs, small beside what a layer takes.
  static var bucketBytes: Int { 1 << 20 }
  /// Elements that gradients begin at multiples of: 64 bytes at least.
  private static var alignment: Int { 16 }

  /// Of each trained parameter, in their order.
  let gradients: [MatrixBuffer<Element>]
  private let memory: MatrixBuffer<Element>
  private let reduction: any GradientReduction<Element>
  /// Ranges of `memory`, in the order of the backward pass; all of it.
  private let buckets: [Range<Int>]
  /// By layer: buckets that are complete once it is.
  private let completeAfter: [Int: Int]
  private var started = 0

  var replicas: Int { reduction.replicas }

  /// - Parameters:
  ///   - shapes: of each trained parameter's gradient.
  ///   - parametersOfLayer: places in `shapes`, by layer.
  ///   - layers: in the order of the backward pass.
  init(
    shapes: [(rows: Int, columns: Int)], parametersOfLayer: [[Int]], layers: [Int],
    reduction: any GradientReduction<Element>
  ) {
    self.reduction = reduction
    let bucketElements = Self.bucketBytes / MemoryLayout<Element>.size
    var offsets = [Int](repeating: 0, count: shapes.count)
    var isPlaced = [Bool](repeating: false, count: shapes.count)
    var (end, buckets, completeAfter) = (0, [Range<Int>](), [Int: Int]())
    func place(_ number: Int) {
      offsets[number] = end
      isPlaced[number] = true
      let count = shapes[number].rows * shapes[number].columns
      end += (count + Self.alignment - 1) / Self.alignment * Self.alignment
    }
    // What no layer's backward pass writes stays zero; it goes first, where it delays nothing.
    let written = Set(layers.flatMap { parametersOfLayer[$0] })
    for number in shapes.indices where !written.contains(number) { place(number) }
    for layer in layers {
      for number in parametersOfLayer[layer] where !isPlaced[number] { place(number) }
      let start = buckets.last?.upperBound ?? 0
      guard end - start >= bucketElements else { continue }
      buckets.append(start..<end)
      completeAfter[layer] = buckets.count
    }
    buckets.append((buckets.last?.upperBound ?? 0)..<end + Self.alignment)
    self.buckets = buckets
    self.completeAfter = completeAfter
    let memory = MatrixBuffer<Element>(rows: 1, columns: end + Self.alignment)
    self.memory = memory
    gradients = zip(shapes, offsets).map { shape, offset in
      MatrixBuffer(within: memory, offset: offset, rows: shape.rows, columns: shape.columns)
    }
  }

  /// The gradients of a layer's parameters stand.
  func layerFinished(_ layer: Int) {
    guard let complete = completeAfter[layer] else { return }
    start(upTo: complete)
  }

  /// What a replica without rows contributes.
  func clear() {
    memory.elements.update(repeating: 0)
  }

  /// Waits until all replicas have contributed everything.
  ///
  /// - Returns: whether the gradients are now the sums over all of them.
  func finish() -> Bool {
    complete(isAbandoned: false)
  }

  /// Lets the others finish without taking the step.
  func abandon() {
    _ = complete(isAbandoned: true)
  }

  func measure() -> (bytes: Int, seconds: Double) {
    let clock = ContinuousClock()
    let times = (0..<3).map { _ in clock.measure { _ = finish() } }
    return (memory.count * MemoryLayout<Element>.size, (times.min() ?? .zero) / .seconds(1))
  }

  private func complete(isAbandoned: Bool) -> Bool {
    let flag = memory.count - Self.alignment
    memory.elements[flag] = isAbandoned ? 1 : 0
    start(upTo: buckets.count)
    started = 0
    let isReduced = reduction.finish()
    return isReduced && memory.elements[flag] == 0
  }

  private func start(upTo end: Int) {
    while started < end {
      reduction.start(UnsafeMutableBufferPointer(rebasing: memory.elements[buckets[started]]))
      started += 1
    }
  }
}

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
