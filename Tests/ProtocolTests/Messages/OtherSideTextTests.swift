import Foundations
import Testing

@testable import Protocol

/// The fault "what the other side wrote reaches terminals raw": every text of a message is in its printable form once decoded.
struct WhatTheOtherSideWroteReachesTerminalsRawTests {
  private let codec = MessageCodec<Float>()
  /// Clears the screen, sets a window's title, begins a line, turns the direction of text, hides letters.
  static let hostile =
    "\u{1B}[2J\u{1B}]0;x\u{7}\r\nroot# \u{202E}txt\u{2066}\u{200B}\u{FEFF}\u{AD}\u{85}\u{9B}1m\u{2028}\u{E0041}"
  static let shown =
    #"\u{1B}[2J\u{1B}]0;x\u{7}\r\nroot# \u{202E}txt\u{2066}\u{200B}\u{FEFF}\u{AD}\u{85}\u{9B}1m\u{2028}\u{E0041}"#

  private func received(_ message: TrainerMessage<Float>) throws -> TrainerMessage<Float> {
    try codec.trainerMessage(codec.frames(message, job: .none)).message
  }

  /// Past the sender's own care, which a program of somebody else's need not take.
  @Test func theReasonOfARefusal() throws {
    var envelope = Envelope(kind: 103, job: .none)
    envelope.write(Int(FailureKind.refused.rawValue))
    envelope.fields.write(text: Self.hostile)
    #expect(
      try codec.trainerMessage(envelope.frames).message == .refused(kind: .refused, reason: Self.shown))
  }

  @Test func aReasonWithoutEnd() throws {
    var envelope = Envelope(kind: 103, job: .none)
    envelope.write(Int(FailureKind.refused.rawValue))
    envelope.fields.write(text: String(repeating: "\u{7}", count: 100_000))
    guard case .refused(_, let reason) = try codec.trainerMessage(envelope.frames).message else {
      Issue.record("another message")
      return
    }
    #expect(reason.unicodeScalars.count <= WireLimits.reasonLength)
    #expect(reason.hasSuffix(#"\u{7}…"#))
  }

  @Test func theStatusOfAJob() throws {
    func status(_ failure: String) -> TrainerMessage<Float> {
      .status(
        JobStatus(state: .failed, step: 1, totalSteps: 2, queuePosition: 0, storedBytes: 3, failure: failure))
    }
    #expect(try received(status(Self.hostile)) == status(Self.shown))
  }

  @Test func theTrainersGreeting() throws {
    func welcome(_ software: String, _ kernel: String) -> TrainerMessage<Float> {
      .welcome(TrainerGreeting(software: software, kernel: kernel, threads: 1, memoryLimit: 1))
    }
    #expect(try received(welcome("a\nb", "\u{1B}[31mHaswell")) == welcome(#"a\nb"#, #"\u{1B}[31mHaswell"#))
  }

  @Test func theNamesOfMetrics() throws {
    func progress(_ name: String) -> TrainerMessage<Float> {
      let metrics = [name: 0.5]
      return .progress(
        from: 0, records: [.evaluation(epoch: 0, step: 1, loss: 1, metrics: metrics, kept: true, seconds: 1)])
    }
    #expect(try received(progress("\u{1B}[2Jaccuracy")) == progress(#"\u{1B}[2Jaccuracy"#))
  }

  @Test func theOwnersProgram() throws {
    let frames = codec.frames(OwnerMessage<Float>.hello(software: "encryptor\n\u{202E}1"), job: .none)
    #expect(try codec.ownerMessage(frames).message == .hello(software: #"encryptor\n\u{202E}1"#))
  }

  // MARK: The form itself

  @Test(arguments: [
    ("", ""), ("plain text", "plain text"), ("Grüße, 世界 — naïve ½ 🙂", "Grüße, 世界 — naïve ½ 🙂"),
    (#"C:\data\x"#, #"C:\data\x"#), ("a\tb\rc", #"a\tb\rc"#), ("a\u{A0}b\u{3000}c", #"a\u{A0}b\u{3000}c"#),
    ("e\u{301}", "e\u{301}"), ("\u{301}e", #"\u{301}e"#), ("\u{3164}\u{2800}", #"\u{3164}\u{2800}"#),
    (hostile, shown),
  ])
  func printableForm(_ text: String, _ expected: String) {
    // Compared by scalars: equal texts may differ in them.
    #expect(Array(text.printable().unicodeScalars) == Array(expected.unicodeScalars))
    #expect(text.printable().printable() == text.printable())
  }

  @Test func printableTextIsBounded() {
    #expect("abcdef".printable(limit: 6) == "abcdef")
    #expect("abcdefg".printable(limit: 6) == "abcde…")
    #expect("abc\u{1B}".printable(limit: 6) == "abc…")
    #expect("\u{1B}\u{1B}".printable(limit: 6) == "…")
    for limit in 1...40 {
      let cut = Self.hostile.printable(limit: limit)
      #expect(cut.unicodeScalars.count <= limit)
      #expect(cut.printable(limit: limit) == cut)
    }
  }

  @Test(arguments: [
    ("word", "word"), ("tcp://h:1", "tcp://h:1"), ("k=v", "k=v"), ("", #""""#), ("two words", #""two words""#),
    (#"x" owner="y"#, #""x\" owner=\"y""#), (#"x\"#, #""x\\""#), ("x\nlevel=error", #""x\\nlevel=error""#),
    (#"\" step=9"#, #""\\\" step=9""#),
  ])
  func fieldOfALog(_ value: String, _ expected: String) {
    #expect(value.logField == expected)
  }
}
