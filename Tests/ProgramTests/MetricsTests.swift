import Foundation
import Testing
import TestSupport

/// `trainer serve --metrics`: what it tells, and that nobody who asks can hurt the training.
@Suite(.waiting)
struct MetricsTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func start() throws -> (trainer: RunningTrainer, port: UInt16) {
    let trainer = try site.startTrainer(bind: "tcp://127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log-format", "json")
    let line = try #require(try JSONLog(trainer.process.errors).first("serving metrics"))
    let address = try #require(line["address"] as? String)
    return (trainer, try #require(UInt16(address.split(separator: ":").last ?? "")))
  }

  private func scrape(_ port: UInt16) throws -> PrometheusText { try PrometheusText.scrape(port) }

  @Test func aRunIsCounted() throws {
    let (trainer, port) = try start()
    let before = try scrape(port)
    #expect(before["trainer_steps_total"] == 0)
    #expect(before.sum("trainer_jobs") == 0)
    #expect(before["trainer_memory_limit_bytes"] == Double(8 << 30))
    #expect(before["trainer_memory_resident_bytes"] > 1e6)
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(ended.code == 0, "\(ended.errors)")
    let after = try scrape(port)
    // 45 training rows in batches of 16 are 3 steps an epoch, of 2; a checkpoint after 5 steps and at the end.
    #expect(after["trainer_steps_total"] == 6)
    #expect(after["trainer_rows_total"] == 90)
    #expect(after["trainer_tokens_total"] == 0)
    #expect(after["trainer_checkpoints_total"] >= 2)
    #expect(after["trainer_checkpoint_seconds_total"] > 0)
    // 60 rows of 5 numbers of 4 bytes are the least that travelled.
    #expect(after["trainer_received_bytes_total"] > 1200)
    #expect(after["trainer_sent_bytes_total"] > 1000)
    #expect(after["trainer_uptime_seconds"] > before["trainer_uptime_seconds"])
    #expect(after.sum("trainer_refusals_total") == 0)
    #expect(after.sum("trainer_build_info") == 1)
    #expect(after["trainer_deployments"] == 0)
    #expect(after["trainer_deployment_memory_limit_bytes"] == Double(8 << 30))
    #expect(after.types["trainer_deployment_answer_seconds"] == "histogram")
    #expect(after.types["trainer_steps_total"] == "counter" && after.types["trainer_queue_length"] == "gauge")
  }

  @Test func tokensAreCounted() throws {
    try TokenFiles().write(to: site)
    try site.write(
      """
      name: tokens
      data: {file: tokens.h5, tokens: ids, mask: mask, labels: labels, split: {validation: 0.25, seed: 7}}
      task: classification
      model: {huggingface: bert}
      masking: {strength: rotation, base_model: public}
      loss: {where: owner}
      optimizer: {name: sgd, lr: 0.05}
      train: {epochs: 2, batch: 8, micro_batch: 4, seed: 1}
      """, to: "job.yaml")
    let (trainer, port) = try start()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(ended.code == 0, "\(ended.errors)")
    let counted = try scrape(port)
    // 30 rows an epoch, each of at least one token and not all of the same number.
    #expect(counted["trainer_rows_total"] == 60)
    #expect(counted["trainer_tokens_total"] > 60)
  }

  @Test func refusalsAreCountedByReason() throws {
    let (trainer, port) = try start()
    #expect(try site.encryptor("keygen", "stranger").code == 0)
    var arguments = site.launch(trainer: trainer.endpoint)
    arguments[3] = "stranger"
    #expect(try site.run(.encryptor, arguments).code == 6)
    #expect(
      Waiting.until(10) {
        (try? scrape(port)["trainer_refusals_total{stage=\"connection\",reason=\"key_not_listed\"}"]) ?? 0 >= 1
      })
    #expect(try scrape(port)["trainer_refusals_total{stage=\"job\",reason=\"memory\"}"] == 0)
  }

  @Test func jobsAndTheQueueAreCounted() throws {
    try site.write(JobText(epochs: 4000).text, to: "job.yaml")
    let (trainer, port) = try start()
    for name in ["first", "second"] {
      try site.start(.encryptor, site.launch(out: name, trainer: trainer.endpoint))
    }
    #expect(
      Waiting.until(20) {
        guard let counted = try? scrape(port) else { return false }
        return counted["trainer_jobs{state=\"running\"}"] == 1 && counted["trainer_jobs{state=\"queued\"}"] == 1
          && counted["trainer_queue_length"] == 1
      })
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", "404"), ("GET /metricsx HTTP/1.0\r\n\r\n", "404"),
    ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"), ("HEAD /metrics HTTP/1.1\r\n\r\n", "405"),
    ("GET /metrics\r\n\r\n", "400"), ("GET  /metrics HTTP/1.1\r\n\r\n", "400"), ("\r\n\r\n", "400"),
    ("get /metrics HTTP/1.1\r\n\r\n", "400"), ("GET /metrics SPDY/3\r\n\r\n", "400"), ("\u{0}\u{1}\u{2}\n\n", "400"),
  ])
  func otherRequestsAreTurnedAway(_ request: String, _ code: String) throws {
    let (_, port) = try start()
    let answer = try PlainConnection.exchange(port: port, request)
    #expect(answer.hasPrefix("HTTP/1.0 \(code) "), "\(answer)")
  }

  /// While a job trains: connections that say nothing, that never end what they say, that say far too much, or hang up.
  @Test func slowHugeAndMalformedRequestsDoNotHurtTheTrainer() throws {
    try site.write(JobText(epochs: 200).text, to: "job.yaml")
    let (trainer, port) = try start()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    let silent = try (0..<20).map { _ in try PlainConnection(port: port) }
    let dripping = try PlainConnection(port: port)
    dripping.send(Array("GET /metr".utf8))
    let huge = try PlainConnection(port: port)
    huge.send(Array(("GET /" + String(repeating: "x", count: 4 << 20)).utf8))
    for seed in 0..<20 {
      let garbage = try PlainConnection(port: port)
      garbage.send((0..<3000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761 &+ seed) >> 3) })
    }
    // Training does not wait for any of them, though the metrics do, two seconds for each that says nothing.
    #expect(try owner.wait(seconds: 60) == 0, "\(owner.errors)")
    #expect(!trainer.process.hasEnded)
    withExtendedLifetime((silent, dripping, huge)) {}
  }

  /// One that says nothing keeps the next waiting for its two seconds only.
  @Test func aSilentConnectionGivesWay() throws {
    let (_, port) = try start()
    let silent = try PlainConnection(port: port)
    let began = ContinuousClock.now
    #expect(try scrape(port)["trainer_steps_total"] == 0)
    // Two seconds and what a loaded machine adds.
    #expect(began.duration(to: .now) < .seconds(10))
    withExtendedLifetime(silent) {}
  }

  @Test func aRequestThatIsTooLongIsRefused() throws {
    let (_, port) = try start()
    let answer = try PlainConnection.exchange(
      port: port, "GET /metrics HTTP/1.1\r\nX: " + String(repeating: "x", count: 100_000) + "\r\n\r\n")
    #expect(answer.hasPrefix("HTTP/1.0 400 "), "\(answer)")
  }

  @Test(arguments: [
    "0.0.0.0:9464", "192.168.1.1:9464", "[::]:9464", "example.org:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:66000",
    ":9464",
    "127.0.0.1:-1", "localhost:http",
  ])
  func onlyLoopbackAddressesAreTaken(_ address: String) throws {
    let ended = try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--metrics", address])
    #expect(ended.code == 2)
    #expect(ended.errors.contains("loopback"), "\(ended.errors)")
    #expect(ended.errors.contains(address))
  }

  @Test func metricsPortInUse() throws {
    let (_, port) = try start()
    try site.run(
      .trainer,
      [
        "serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "other", "--bind", "tcp://127.0.0.1:0",
        "--metrics", "127.0.0.1:\(port)",
      ]
    ).expectRefusal(2, saying: "127.0.0.1:\(port)", "in use", "choose another port", program: .trainer)
  }
}
