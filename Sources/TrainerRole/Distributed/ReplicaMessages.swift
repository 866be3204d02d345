import Foundations
import Foundation
import Numerics
import Training
import Protocol

/// The inputs of one part of a batch.
struct ReplicaInputs<Element: FloatingElement>: Sendable {
  /// [samples or tokens, width].
  let values: Tensor<Element>
  /// Nil where a sample is one row.
  let sequences: SequenceLayout?

  var extent: PartExtent { PartExtent(samples: sequences?.samples ?? values.rows, sequences: sequences) }

  func write(to destination: UnsafeMutableBufferPointer<Element>) {
    values.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
  }
}

/// What a job's loop has a replica do.
///
/// Commands are carried out in order, but while a step is under way a part goes forward before gradients that came earlier, as
/// long as there is memory for it, and `abandon` and `order` wait for nothing but each other.
enum ReplicaCommand<Element: FloatingElement>: Sendable {
  /// Builds the job's engine; its weights and optimizer memory, as they were after `step` steps, follow by broadcast, and then what corrections
  /// need.
  case begin(JobDescription, step: Int, kernel: JobKernel)
  /// A step of which this replica has parts of so many samples, in this order; it is taken when all have their gradients.
  case step(Int, parts: [Int])
  case forward(part: Int, ReplicaInputs<Element>)
  /// ∂L/∂outputs.
  case gradient(part: Int, Tensor<Element>)
  /// Forward, loss and backward in one.
  case train(part: Int, ReplicaInputs<Element>, Targets<Element>, normalizer: Double)
  case infer(Int, ReplicaInputs<Element>)
  /// Gives up all steps commanded before that are not taken yet; every replica is told, so that they go on alike.
  case abandon
  /// To rank 0 alone.
  case order(StoreOrder)
  /// The job ends.
  case end
  /// The process ends.
  case stop

  /// Whether it is about the store.
  var isOrder: Bool {
    if case .order = self { true } else { false }
  }
}

/// A job as ranks hear of it.
private struct ReplicatedJob: Codable {
  let description: JobDescription
  let kernel: JobKernel
}

extension ReplicaCommand {
  /// Nil for what never leaves rank 0.
  var packet: ReplicaPacket<Element>? {
    switch self {
    case .begin(let description, let step, let kernel):
      guard let text = try? JSONEncoder().encode(ReplicatedJob(description: description, kernel: kernel)) else {
        return nil
      }
      var packet = ReplicaPacket<Element>(kind: 1)
      packet.text = String(decoding: text, as: UTF8.self)
      packet.numbers = [step]
      return packet
    case .step(let number, let parts):
      var packet = ReplicaPacket<Element>(kind: 2)
      packet.numbers = [number] + parts
      return packet
    case .forward(let part, let inputs):
      var packet = ReplicaPacket<Element>(kind: 3)
      packet.numbers = [part]
      packet.attach(inputs)
      return packet
    case .gradient(let part, let values):
      var packet = ReplicaPacket<Element>(kind: 4)
      packet.numbers = [part]
      packet.values = [values]
      return packet
    case .train(let part, let inputs, let targets, let normalizer):
      var packet = ReplicaPacket<Element>(kind: 5)
      packet.numbers = [part]
      packet.reals = [normalizer]
      packet.attach(inputs)
      switch targets {
      case .classes(let ids): packet.indices.append(Tensor(ids, shape: [ids.count]))
      case .values(let values): packet.values.append(values)
      // Times stay with the owner; a job that would have them here is refused on submission.
      case .times: return nil
      }
      return packet
    case .infer(let number, let inputs):
      var packet = ReplicaPacket<Element>(kind: 6)
      packet.numbers = [number]
      packet.attach(inputs)
      return packet
    case .abandon: return ReplicaPacket(kind: 7)
    case .end: return ReplicaPacket(kind: 8)
    case .stop: return ReplicaPacket(kind: 9)
    case .order: return nil
    }
  }

  /// Nil for a packet that no command makes.
  init?(_ packet: ReplicaPacket<Element>) {
    switch (packet.kind, packet.numbers.first) {
    case (1, let step?):
      guard let job = try? JSONDecoder().decode(ReplicatedJob.self, from: Data(packet.text.utf8)) else { return nil }
      self = .begin(job.description, step: step, kernel: job.kernel)
    case (2, let number?):
      let parts = Array(packet.numbers.dropFirst())
      guard parts.allSatisfy({ $0 >= 0 }), Shape.sum(parts) != nil else { return nil }
      self = .step(number, parts: parts)
    case (3, let part?):
      guard let inputs = packet.inputs else { return nil }
      self = .forward(part: part, inputs)
    case (4, let part?):
      guard let values = packet.values.first else { return nil }
      self = .gradient(part: part, values)
    case (5, let part?):
      guard let inputs = packet.inputs, let normalizer = packet.reals.first else { return nil }
      if packet.values.count > 1 {
        self = .train(part: part, inputs, .values(packet.values[1]), normalizer: normalizer)
      } else if let ids = packet.indices.last {
        self = .train(part: part, inputs, .classes(ids.elements), normalizer: normalizer)
      } else {
        return nil
      }
    case (6, let number?):
      guard let inputs = packet.inputs else { return nil }
      self = .infer(number, inputs)
    case (7, nil): self = .abandon
    case (8, nil): self = .end
    case (9, nil): self = .stop
    default: return nil
    }
  }
}

extension ReplicaPacket {
  /// `numbers` [1 …] are the layout: how many offsets, they, and the pooled tokens.
  fileprivate mutating func attach(_ inputs: ReplicaInputs<Element>) {
    values.append(inputs.values)
    guard let sequences = inputs.sequences else { return }
    numbers += [sequences.offsets.count] + sequences.offsets + sequences.pooled
  }

  fileprivate var inputs: ReplicaInputs<Element>? {
    guard let values = values.first else { return nil }
    guard numbers.count > 1 else { return ReplicaInputs(values: values, sequences: nil) }
    guard (0...numbers.count - 2).contains(numbers[1]) else { return nil }
    let (offsets, pooled) = (numbers[2..<2 + numbers[1]], numbers[(2 + numbers[1])...])
    return ReplicaInputs(
      values: values, sequences: SequenceLayout(offsets: Array(offsets), pooled: Array(pooled)))
  }
}

/// What a replica tells its job's loop.
enum ReplicaAnswer<Element: FloatingElement>: Sendable {
  case outputs(step: Int, part: Int, Tensor<Element>)
  case trained(step: Int, part: Int, lossSum: Double)
  case inferred(Int, Tensor<Element>)
  /// The step was taken; `waited` are the seconds from the end of its backward pass until all gradients were summed.
  case applied(StepReport, waited: Double)
  /// Nothing is under way any more; `step` is the next.
  case abandoned(step: Int)
  case saved(step: Int)
  /// A command could not be carried out. Its step, if it was part of one, is given up by all.
  case failed(FailureKind, String)
  /// It has forgotten the job.
  case ended
}

extension ReplicaAnswer {
  var packet: ReplicaPacket<Element> {
    switch self {
    case .outputs(let step, let part, let values):
      var packet = ReplicaPacket<Element>(kind: 101)
      packet.numbers = [step, part]
      packet.values = [values]
      return packet
    case .trained(let step, let part, let lossSum):
      var packet = ReplicaPacket<Element>(kind: 102)
      packet.numbers = [step, part]
      packet.reals = [lossSum]
      return packet
    case .inferred(let number, let values):
      var packet = ReplicaPacket<Element>(kind: 103)
      packet.numbers = [number]
      packet.values = [values]
      return packet
    case .applied(let report, let waited):
      var packet = ReplicaPacket<Element>(kind: 104)
      packet.numbers = [report.step]
      packet.reals = [report.gradientNorm, report.learningRate, waited]
      return packet
    case .abandoned(let step):
      var packet = ReplicaPacket<Element>(kind: 105)
      packet.numbers = [step]
      return packet
    case .saved(let step):
      var packet = ReplicaPacket<Element>(kind: 106)
      packet.numbers = [step]
      return packet
    case .failed(let kind, let text):
      var packet = ReplicaPacket<Element>(kind: 107)
      packet.numbers = [Int(kind.rawValue)]
      packet.text = text
      return packet
    case .ended: return ReplicaPacket(kind: 108)
    }
  }

  /// Nil for a packet that no answer makes.
  init?(_ packet: ReplicaPacket<Element>) {
    let (numbers, reals, values) = (packet.numbers, packet.reals, packet.values)
    switch (packet.kind, numbers.count, reals.count, values.count) {
    case (101, 2, 0, 1): self = .outputs(step: numbers[0], part: numbers[1], values[0])
    case (102, 2, 1, 0): self = .trained(step: numbers[0], part: numbers[1], lossSum: reals[0])
    case (103, 1, 0, 1): self = .inferred(numbers[0], values[0])
    case (104, 1, 3, 0):
      self = .applied(
        StepReport(step: numbers[0], gradientNorm: reals[0], learningRate: reals[1]), waited: reals[2])
    case (105, 1, 0, 0): self = .abandoned(step: numbers[0])
    case (106, 1, 0, 0): self = .saved(step: numbers[0])
    case (107, 1, 0, 0):
      guard let kind = Int32(exactly: numbers[0]).flatMap(FailureKind.init(rawValue:)) else { return nil }
      self = .failed(kind, packet.text)
    case (108, 0, 0, 0): self = .ended
    default: return nil
    }
  }
}
