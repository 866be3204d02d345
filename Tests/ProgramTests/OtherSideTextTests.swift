import Foundation
import Testing
import Protocol

/// The fault "what the other side wrote reaches terminals raw", shown by the trainer's own logs.
struct WhatAnOwnerWroteInTheTrainersLogTests {
  private let site: Site
  private static let hostile = "x\" job=forged  level=\"\u{1B}[2J\n2026-01-01T00:00:00Z critical \u{202E}all is lost"

  init() throws {
    site = try Site()
  }

  /// A greeting that no `encryptor` sends.
  private func greet(_ trainer: RunningTrainer) throws {
    let channel = try ZeroMQOwnerChannel(
      endpoint: trainer.endpoint, ownerKeys: KeyFile(.owner, in: site["owner"]).readKeyPair(),
      trainerKey: KeyFile.readPublicKey(at: site["trainer/trainer.pub"]))
    defer { channel.close() }
    try channel.send(MessageCodec<Float>().frames(.hello(software: Self.hostile), job: .none))
    #expect(Waiting.until(20) { trainer.process.errors.contains("owner connected") })
  }

  private func controls(in log: String) -> [Unicode.Scalar] {
    log.unicodeScalars.filter { ($0.value < 0x20 && $0 != "\n") || $0.value == 0x202E }
  }

  @Test func asText() throws {
    let trainer = try site.startTrainer()
    try greet(trainer)
    let log = trainer.process.errors
    #expect(controls(in: log) == [])
    let line = try #require(log.split(separator: "\n").first { $0.contains("owner connected") })
    #expect(
      line.hasSuffix(
        #"  software="x\" job=forged  level=\"\\u{1B}[2J\\n2026-01-01T00:00:00Z critical \\u{202E}all is l…""#),
      "\(line)"
    )
    #expect(!log.split(separator: "\n").contains { $0.hasPrefix("2026-01-01T00:00:00Z") })
  }

  @Test func asJSON() throws {
    let trainer = try site.startTrainer("--log-format", "json")
    try greet(trainer)
    #expect(controls(in: trainer.process.errors) == [])
    let line = try #require(try JSONLog(trainer.process.errors).first("owner connected"))
    #expect((line["software"] as? String)?.hasPrefix(#"x" job=forged  level="\u{1B}[2J\n2026"#) == true)
    #expect(line["job"] == nil)
  }
}
