import Foundation
import Glibc
import Testing

@testable import Protocol

/// Numbers, not checks; off unless asked for:
/// `TRANSPORT_MEASURE=1 swift test -c release -Xswiftc -enable-testing --filter Measurements`
@Suite(
  "Over loopback with CURVE", .serialized,
  .enabled(if: ProcessInfo.processInfo.environment["TRANSPORT_MEASURE"] != nil))
struct MeasurementTests {
  @Test(arguments: [16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20])
  func throughput(frameBytes: Int) throws {
    let site = try Site(options: TransportOptions())
    let owner = try site.owner()
    let total = 1 << 30
    let count = total / frameBytes
    let frame = pattern(frameBytes)
    try owner.send([frame])
    _ = try #require(try site.endpoint.receive(timeout: Site.patience))
    let processorBefore = processorSeconds()
    let start = ContinuousClock.now
    Thread {
      for _ in 0..<count where (try? owner.send([frame])) == nil { return }
    }.start()
    for _ in 0..<count { _ = try #require(try site.endpoint.receive(timeout: Site.patience)) }
    let seconds = (ContinuousClock.now - start).seconds
    let processor = processorSeconds() - processorBefore
    print(
      String(
        format: "frames of %8d bytes: %6.0f MB/s, %.2f processor seconds a GB (both ends)", frameBytes,
        Double(total) / seconds / 1e6, processor / (Double(total) / 1e9)))
  }

  @Test func latency() throws {
    let site = try Site(options: TransportOptions())
    let owner = try site.owner()
    let endpoint = site.endpoint
    let count = 20_000
    Thread {
      for _ in 0...count {
        guard let message = try? endpoint.receive(timeout: Site.patience) else { return }
        try? endpoint.send(message.frames, to: message.peer)
      }
    }.start()
    let question: Message = [pattern(32)]
    var times: [Double] = []
    for number in 0...count {
      let start = ContinuousClock.now
      try owner.send(question)
      _ = try #require(try owner.receive(timeout: Site.patience))
      // The first includes the handshake.
      if number > 0 { times.append((ContinuousClock.now - start).seconds * 1e6) }
    }
    times.sort()
    print(
      String(
        format: "round trip of 32 bytes: median %.0f µs, 99th percentile %.0f µs", times[count / 2],
        times[count * 99 / 100]))
  }

  private func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
  }
}
