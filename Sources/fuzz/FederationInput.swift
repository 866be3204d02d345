import Federation
import Foundation
import Foundations
import Numerics
import Protocol

/// Input bytes as the frames of a federation's message, cut like those of `FrameInput`, and as a line of its records.
enum FederationInput {
  private static let limits = WireLimits(tensorBytes: 1 << 16, headerBytes: 1 << 14)

  static func run(_ input: Data) {
    let frames = FrameInput.frames(of: input)
    check(frames, as: SiteRequest.self)
    check(frames, as: AggregatorAnswer.self)
    if let record = SumRecord(line: String(decoding: input, as: UTF8.self)) {
      precondition(SumRecord(line: record.line) == record, "a record changed when it was read again")
    }
  }

  private static func read<Message: WireMessage>(_ frames: [Data]) -> (job: JobID, message: Message)? {
    guard var envelope = try? OpenedEnvelope(frames, limits: limits), let message = try? Message(from: &envelope)
    else { return nil }
    return (envelope.job, message)
  }

  /// Frames are compared, not messages: a NaN is not even itself.
  private static func check<Message: WireMessage>(_ frames: [Data], as type: Message.Type) {
    guard let (job, message): (JobID, Message) = read(frames) else { return }
    let sent = message.envelope(for: job).frames(version: .current)
    let again: (job: JobID, message: Message)? = read(sent)
    precondition(again?.job == job, "a message that was taken is not taken again")
    precondition(
      again.map { $0.message.envelope(for: job).frames(version: .current) } == sent, "a message changed on its way")
  }

  /// Messages of every kind, and a record as it stands in a file.
  static var seeds: [Data] {
    let job = JobID(bytes: [UInt8](repeating: 1, count: JobID.byteCount))
    let bytes = Tensor<UInt8>([1, 2, 3], shape: [3])
    let digest = [UInt8](repeating: 7, count: 32)
    let requests: [SiteRequest] = [
      .join(FederationJoin(charterDigest: digest)),
      .introduce(
        SiteIntroduction(
          entries: 4, columns: 3, model: digest.hexadecimal, columnNames: digest.hexadecimal, records: 1)),
      .sum(bytes), .askUpload(sum: 1, attempt: 2),
      .upload(sum: 1, attempt: 2, offset: 3, entries: Tensor([-1, .max], shape: [2])),
      .finishUpload(sum: 1, attempt: 2, header: bytes), .fetch(rounds: 1, offset: 2),
      .start(offset: 1, entries: Tensor([0.5, .nan], shape: [2])), .fetched,
    ]
    var record = SumRecord(
      purpose: .update(round: 1), sum: 2, attempt: 3, cohort: ["a", "b\u{e9}"], survivors: ["a"], seconds: 0.25)
    record.weight = 5
    record.trainingRows = 4
    record.means = ["loss": 0.5, "accuracy": 1e-300]
    record.model = digest.hexadecimal
    let answers: [AggregatorAnswer] = [
      .welcome(AggregatorGreeting(software: "aggregator", federation: "small")), .joined, .sum(bytes),
      .plainRequest(
        PlainRequest(
          sum: 1, attempt: 2, purpose: "update 0", model: digest.hexadecimal, format: digest.hexadecimal)),
      .uploadHeld(sum: 1, attempt: 2, entries: 3), .uploadUnwanted(sum: 1, attempt: 2, reason: "too late"),
      .sums(purpose: .means, values: Tensor([1, .infinity], shape: [2])),
      .model(rounds: 1, offset: 2, entries: Tensor([1, 2], shape: [2])), .startWanted(held: 1), .recorded(record),
      .obstacle("waiting"), .awaited(AwaitedSites([0, 2])), .awaited(AwaitedSites(Array(0..<9))),
      .result(FederationResult(rounds: 2, model: digest.hexadecimal, reason: "all rounds are done")),
    ]
    let envelopes = requests.map { $0.envelope(for: job) } + answers.map { $0.envelope(for: job) }
    return envelopes.map { FrameInput.input(of: $0.frames(version: .current)) } + [Data(record.line.utf8)]
  }
}
