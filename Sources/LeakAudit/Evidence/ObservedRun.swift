import OwnerRole
import Models
import JobSpec
import Masking
import Numerics
import Training

/// A short training run and what its trainer saw of it.
struct ObservedRun {
  let view: ProviderView
  let truth: OwnerTruth
  /// The samples that were trained on: all that were asked for, or the first of them where the time was up.
  let slots: ArraySlice<Int32>

  /// Trains once on each batch of `slots`, in this process.
  ///
  /// - Parameters:
  ///   - plan: the job's keys, or identity keys for the control.
  ///   - master: what keys and the order of tokens are drawn from.
  ///   - end: no further step begins after it; the first is made in any case. Nil for no end.
  ///   - progress: steps done and steps in all.
  /// - Throws: as reading and masking do; `OwnerError.diverged`.
  init(
    _ prepared: PreparedJob, plan: KeyPlan, source: VerificationSource<Float>, master: MasterKey,
    slots: ArraySlice<Int32>, until end: ContinuousClock.Instant? = nil, compute: Compute,
    progress: (Int, Int) -> Void
  ) throws {
    let run = try VerifiedRun(
      prepared, plan: plan, source: source, master: master, precision: prepared.job.train.precision, compute: compute)
    let initial = run.maskedWeights
    var parts = ObservedParts()
    let batch = prepared.plan.batch
    let steps = (slots.count + batch - 1) / batch
    var reached = slots.startIndex
    for step in 0..<steps {
      if step > 0, let end, ContinuousClock().now >= end { break }
      let start = reached
      reached = min(slots.endIndex, start + batch)
      try run.step(slots[start..<reached], epoch: 0) { parts.add($0) }
      progress(step + 1, steps)
    }
    let slots = slots[..<reached]
    self.slots = slots
    let samples = try source.plaintext(of: slots, master: run.master)
    view = ProviderView(
      inputs: parts.inputs.joined(), lengths: samples.lengths,
      isRotary: !prepared.shape.graph.rotaryFrequencies.isEmpty,
      groups: Dictionary(plan.rows.map { ($0.space, $0.group) }, uniquingKeysWith: { first, _ in first }),
      input: plan.input.space, parameters: prepared.shape.structure.parameters, initialWeights: initial,
      finalWeights: run.maskedWeights, outputs: parts.outputs.joined(),
      targets: try Self.targets(prepared, parts, keys: run.keys))
    truth = OwnerTruth(
      rows: samples.rows, tokens: samples.ids, positions: samples.positions,
      labels: parts.labels(isBinary: prepared.job.task != .regression),
      inputKey: try run.keys.inputMatrix())
  }

  /// What of the targets the provider has.
  private static func targets(
    _ prepared: PreparedJob, _ parts: ObservedParts, keys: JobKeys<Float>
  ) throws -> ProviderTargets {
    guard prepared.job.lossLocation == .trainer else { return .gradients(parts.gradients.joined()) }
    switch parts.targets {
    case .classes(let ids): return .classes(try keys.maskClasses(ids))
    case .values(let values): return .values(try keys.maskTargets(values))
    case .times: throw OwnerError.unfitJob("task: survival needs loss.where: owner")
    }
  }
}

extension JobKeys {
  /// T, and δ as a last column where there is one, `[w, d]` or `[w, d + 1]`, from what the key makes of the unit vectors and of zero.
  func inputMatrix() throws -> Tensor<Double> {
    let input = plan.input
    let features = input.homogeneous?.features ?? input.width
    var units = Tensor<Element>(zeros: [features + 1, features])
    for index in 0..<features { units[index * features + index] = 1 }
    let images: Tensor<Double> = try maskInputs(units).converted()
    let columns = input.homogeneous == nil ? features : features + 1
    var key = Tensor<Double>(zeros: [input.width, columns])
    for row in 0..<input.width {
      let shift = images[features * input.width + row]
      for column in 0..<features {
        key[row * columns + column] = images[column * input.width + row] - shift
      }
      if columns > features { key[row * columns + features] = shift }
    }
    return key
  }
}

extension Targets {
  /// N × 1: 1 where a row's event came, which is what there is to infer of a survival; of other tasks no rows.
  var events: Tensor<Element> {
    guard case .times(let times) = self else { return Tensor(zeros: [0, 1]) }
    return Tensor(times.map { $0.isEvent ? 1 : 0 }, shape: [times.count, 1])
  }
}

/// The micro-batches of a run, collected.
struct ObservedParts {
  private(set) var inputs = RowCollection()
  private(set) var outputs = RowCollection()
  private(set) var gradients = RowCollection()
  private var classes: [Int32] = []
  private var values = RowCollection()

  mutating func add(_ exchange: VerifiedRun<Float>.Exchange) {
    inputs.append(exchange.inputs)
    outputs.append(exchange.outputs)
    gradients.append(exchange.outputGradient)
    switch exchange.targets {
    case .classes(let ids): classes += ids
    case .values(let rows): values.append(rows)
    case .times: values.append(exchange.targets.events)
    }
  }

  /// Not masked; of one task, they are all of one kind.
  var targets: Targets<Float> { values.isEmpty ? .classes(classes) : .values(values.joined()) }

  func labels(isBinary: Bool) -> TrueLabels {
    switch targets {
    case .classes(let ids): .classes(ids)
    case .values(let values): .values(values, isBinary: isBinary)
    case .times: .values(targets.events, isBinary: true)
    }
  }
}

/// Rows that arrive in pieces.
struct RowCollection {
  private var elements: [Float] = []
  private var columns = 0

  mutating func append(_ rows: Tensor<Float>) {
    columns = rows.columns
    rows.withUnsafeBufferPointer { elements.append(contentsOf: $0) }
  }

  var isEmpty: Bool { elements.isEmpty }

  func joined() -> Tensor<Float> {
    Tensor(elements, shape: [columns == 0 ? 0 : elements.count / columns, columns])
  }
}
