import Foundation

/// What is fuzzed. A run ends well for every input: taken or refused by a thrown error, and what was taken means the same when it is written and
/// read again. Anything else is a trap, which the fuzzer reports together with the input.
enum FuzzedParser: String, CaseIterable {
  /// What arrives over a connection, before it is a message.
  case envelope
  /// Messages off the wire, of either side.
  case frames
  /// What a pretrained model says of itself.
  case configuration
  /// Job specifications.
  case job
  /// Safetensors headers.
  case safetensors

  func run(_ input: Data) {
    switch self {
    case .configuration: ConfigurationInput.run(input)
    case .envelope: EnvelopeInput.run(input)
    case .frames: FrameInput.run(input)
    case .job: JobInput.run(input)
    case .safetensors: SafetensorsInput.run(input)
    }
  }
}
