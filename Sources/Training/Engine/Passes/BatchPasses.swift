import Models
import Numerics

/// The passes of an engine over the parts of its batches, on memory of whatever activations are kept in: what is written and read is in the
/// format of arithmetic.
///
/// One thread at a time owns it.
protocol BatchPasses<Element>: AnyObject {
  associatedtype Element: FloatingElement

  /// How far the rows of the batch have come.
  var batch: BatchRows { get }
  /// Σ g² over the gradients that the last backward pass has left.
  var squares: Double { get }
  /// Whether another part may go forward before a gradient comes.
  var hasRoom: Bool { get }

  func begin(rows: Int)
  /// Forgets the batch.
  func forget()

  /// As `TrainingEngine.forward`.
  func forward(
    rows: Range<Int>, sequences: SequenceLayout?, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element>

  /// As `TrainingEngine.setOutputGradient`; where samples are sequences, the part's backward pass adds to `targets`.
  func setOutputGradient(
    _ gradient: Tensor<Element>, rows: Range<Int>, _ targets: GradientTargets<Element>
  ) throws(TrainingError)

  /// The backward pass over a batch whose samples are rows.
  func backwardOverRows(_ targets: GradientTargets<Element>)

  /// As `TrainingEngine.infer`.
  func infer(
    rows: Int, sequences: SequenceLayout?, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element>
}

/// Where a backward pass puts the gradients of parameters.
struct GradientTargets<Element: FloatingElement> {
  /// Of every parameter; nil for one that is not trained.
  let gradients: [MatrixView<Element>?]
  /// Called after each layer of a batch's last backward pass: its parameters' gradients stand.
  let finished: ((Int) -> Void)?
}

/// Passes whose activations are kept in `Stored`.
final class StoredBatchPasses<Stored: ActivationElement>: BatchPasses {
  typealias Element = Stored.Accumulator

  private let settings: EngineSettings
  private let plan: MemoryPlan
  private let runner: LayerRunner<Stored>
  private let compute: Compute
  private let largestPart: RowCounts
  private let largestPass: RowCounts
  private var inference: Inference<Stored>
  /// Inputs on their way into the format of activations.
  private var arriving = MatrixBuffer<Element>(rows: 0, columns: 1)

  private(set) var batch = BatchRows()
  /// Memory for parts, and which of it is in use, in the order of the batch.
  private var freeMemory: [MatrixMemory<Stored>]
  private var inFlight: [BatchPart<Stored>] = []
  /// Where the next part of a batch of sequences begins, and whether one has had its backward pass.
  private var nextRow = 0
  private var hasGradients = false
  private(set) var squares = 0.0

  private var model: Model { settings.model }

  init(
    _ settings: EngineSettings, weights: [MatrixBuffer<Element>], packed: PackedWeights, largestPart: RowCounts,
    largestPass: RowCounts, compute: Compute
  ) {
    self.settings = settings
    self.compute = compute
    (self.largestPart, self.largestPass) = (largestPart, largestPass)
    plan = settings.plan(ActivationStorage(compute, Element.self))
    runner = LayerRunner(
      settings.model, flow: settings.flow, weights: weights.map(\.view), packed: packed,
      working: MatrixMemory(plan.workingShapes), compute: compute)
    inference = Inference(settings.model, plan.inference)
    let shapes = plan.partShapes
    freeMemory = settings.optimizer == nil ? [] : (0..<settings.partsInFlight).map { _ in MatrixMemory(shapes) }
    // A whole batch's memory is there from the start; that of sequences grows to what arrives.
    if settings.rules == nil, settings.optimizer != nil {
      freeMemory.forEach { $0.reserve(largestPart, limit: largestPart) }
      runner.working.reserve(largestPart, limit: largestPass)
    }
  }

  var hasRoom: Bool { settings.rules == nil || !freeMemory.isEmpty }

  func begin(rows: Int) {
    forget()
    batch.begin(rows)
  }

  func forget() {
    freeMemory += inFlight.map(\.memory)
    inFlight = []
    nextRow = 0
    hasGradients = false
    squares = 0
    batch.close()
  }

  // MARK: - Forward

  func forward(
    rows: Range<Int>, sequences: SequenceLayout?, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try batch.check(rows)
    try model.check(sequences, samples: rows.count)
    guard let sequences else {
      guard let memory = freeMemory.first else { throw TrainingError.inferenceOnly }
      batch.reset(rows)
      let pass = LayerRunner<Stored>.Pass(span: RowSpan(samples: rows), sequences: nil, part: memory)
      let outputs = try forward(pass, filling)
      batch.setForwarded(rows)
      return outputs
    }
    guard rows.count <= settings.partRows else {
      throw TrainingError.partRows(rows: rows.count, capacity: settings.partRows)
    }
    guard rows.lowerBound == nextRow else { throw TrainingError.partOrder(rows: rows, due: nextRow) }
    guard let memory = freeMemory.last else { throw TrainingError.partsInFlight(limit: settings.partsInFlight) }
    let part = BatchPart(rows: rows, sequences: sequences, memory: memory)
    let size = RowCounts(RowSpan(sequences))
    memory.reserve(size, limit: largestPart)
    runner.working.reserve(size, limit: largestPass)
    let outputs = try forward(part.pass, filling)
    freeMemory.removeLast()
    inFlight.append(part)
    nextRow = rows.upperBound
    batch.setForwarded(rows)
    return outputs
  }

  private func forward(
    _ pass: LayerRunner<Stored>.Pass, _ filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    guard let input = runner.view(.value(0), plan.forward, pass) else { throw TrainingError.inferenceOnly }
    try input.withSums(keeping: false, in: { room(for: input.count) }) { input in
      try filling(UnsafeMutableBufferPointer(start: input.base, count: input.count))
    }
    runner.run(plan.forward, pass)
    guard let output = runner.view(.value(model.outputValue), plan.forward, pass) else {
      throw TrainingError.inferenceOnly
    }
    return output.widened
  }

  private func room(for count: Int) -> UnsafeMutablePointer<Element> {
    if arriving.count < count {
      // The old memory goes first.
      arriving = MatrixBuffer(rows: 0, columns: 1)
      arriving = MatrixBuffer(uninitializedRows: count, columns: 1)
    }
    return arriving.view.base
  }

  // MARK: - Backward

  func setOutputGradient(
    _ gradient: Tensor<Element>, rows: Range<Int>, _ targets: GradientTargets<Element>
  ) throws(TrainingError) {
    try batch.check(rows)
    guard batch.haveOutputs(rows) else { throw .gradientBeforeForward(rows: rows) }
    guard settings.rules != nil else {
      guard let memory = freeMemory.first else { throw .inferenceOnly }
      try place(
        gradient, LayerRunner<Stored>.Pass(span: RowSpan(samples: rows), sequences: nil, part: memory))
      batch.setGradient(rows)
      return
    }
    guard let part = inFlight.first, part.rows == rows else {
      throw .partOrder(rows: rows, due: inFlight.first?.rows.lowerBound ?? nextRow)
    }
    try place(gradient, part.pass)
    clipSamples(gradient, part.pass)
    backward(part.pass, targets, isLast: rows.upperBound == batch.count)
    inFlight.removeFirst()
    freeMemory.append(part.memory)
    batch.setGradient(rows)
  }

  private func place(_ gradient: Tensor<Element>, _ pass: LayerRunner<Stored>.Pass) throws(TrainingError) {
    guard let target = runner.view(.gradient(model.outputValue), plan.backward, pass) else { throw .inferenceOnly }
    let expected = [target.rows, target.columns]
    guard gradient.shape == expected else { throw .gradientShape(expected: expected, found: gradient.shape) }
    guard compute.workers.allFinite(gradient) else { throw .nonFiniteGradient }
    target.write(gradient)
  }

  /// Scales each sample's output gradient so that the gradients of all parameters that come of it are clipped and add up to those of the step.
  ///
  /// - Parameter gradient: what is in the pass's memory already, which the backward pass for the norms overwrites.
  private func clipSamples(_ gradient: Tensor<Element>, _ pass: LayerRunner<Stored>.Pass) {
    guard let clipping = settings.sampleClipping,
      let target = runner.view(.gradient(model.outputValue), plan.backward, pass)
    else { return }
    let samples = runner.samples(of: model.outputValue, pass)
    let norms = PartialSums(count: samples.count)
    let none = [ParameterGradient<Element>?](repeating: nil, count: model.structure.parameters.count)
    runner.run(plan.backward, pass, gradients: none, norms: norms)
    let factors = clipping.factors(norms, count: samples.count)
    var scaled = gradient
    samples.scale(&scaled, by: factors, compute.workers)
    target.write(scaled)
  }

  func backwardOverRows(_ targets: GradientTargets<Element>) {
    let pass = LayerRunner<Stored>.Pass(
      span: RowSpan(samples: 0..<batch.count), sequences: nil, part: freeMemory.first)
    if settings.sampleClipping != nil, let gradient = runner.view(.gradient(model.outputValue), plan.backward, pass) {
      clipSamples(gradient.widened, pass)
    }
    backward(pass, targets, isLast: true)
  }

  private func backward(_ pass: LayerRunner<Stored>.Pass, _ targets: GradientTargets<Element>, isLast: Bool) {
    let gradients = targets.gradients.map { view in
      view.map { ParameterGradient(view: $0, accumulates: hasGradients) }
    }
    squares = runner.run(plan.backward, pass, gradients: gradients, finished: isLast ? targets.finished : nil)
    hasGradients = true
  }

  // MARK: - Inference

  func infer(
    rows: Int, sequences: SequenceLayout?, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try inference.run(rows: rows, sequences: sequences, on: runner, memoryLimit: largestPass, filling: filling)
  }
}

extension BatchPart {
  fileprivate var pass: LayerRunner<Element>.Pass {
    LayerRunner.Pass(span: RowSpan(sequences), sequences: sequences, part: memory)
  }
}
