import Foundation
import Tensors
import Training
import Wire

extension ReplicaCommand {
  /// Nil for what never leaves rank 0.
  var packet: ReplicaPacket<Element>? {
    switch self {
    case .begin(let description, let step):
      guard let text = try? JSONEncoder().encode(description) else { return nil }
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
    case .save, .keep, .commit: return nil
    }
  }

  /// Nil for a packet that no command makes.
  init?(_ packet: ReplicaPacket<Element>) {
    switch (packet.kind, packet.numbers.first) {
    case (1, let step?):
      guard let description = try? JSONDecoder().decode(JobDescription.self, from: Data(packet.text.utf8)) else {
        return nil
      }
      self = .begin(description, step: step)
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
