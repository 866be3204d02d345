import Failures
import Tensors
import Training

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
