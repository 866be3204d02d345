import Foundation
import Protocol
import TestSupport
import Testing

@testable import Datasets

/// Files whose bytes were changed at random, read by the programs as a person has them read.
@Suite(.waiting)
struct DamagedFileTests {
  private static let seedsAtOnce = 25

  /// libhdf5 faults on some of these (on one in fifty or so, most of them in strings of varying length). Whatever it does, the program says in one line that
  /// the file is damaged, or reads what is left of it.
  @Test(arguments: [false, true], 0..<4)
  func aDamagedFileIsRefusedOrRead(_ isNewest: Bool, _ group: Int) throws {
    let site = try Site(keys: false)
    FrameFile(isNewest: isNewest).write(to: site["whole.h5"])
    let whole = try site.bytes("whole.h5")
    try site.write(JobText(file: "whole.h5", features: "X", labels: "labels", batch: 4).text, to: "job.yaml")
    #expect(try site.encryptor("inspect", "whole.h5").code == 0)
    #expect(try site.encryptor("plan", "job.yaml", "--set", "data.file=whole.h5").code == 0)
    for seed in group * Self.seedsAtOnce..<(group + 1) * Self.seedsAtOnce {
      try Self.damaged(whole, seed: UInt64(seed)).write(to: URL(filePath: site["bad.h5"]))
      for arguments in [["inspect", "bad.h5"], ["plan", "job.yaml", "--set", "data.file=bad.h5"]] {
        let ended = try site.run(.encryptor, arguments, seconds: 60)
        let text = "\(arguments[0]), seed \(seed), newest \(isNewest): \(ended.code) \(ended.errors)"
        if arguments[0] == "inspect" {
          #expect(ended.code == 0 || ended.code == 3, "\(text)")
        } else {
          // What is left may fit the job no more (2: too few rows, a label that is no class).
          #expect([0, 2, 3].contains(ended.code), "\(text)")
        }
        guard ended.code != 0 else { continue }
        let own = ended.errors.split(separator: "\n").filter { $0.hasPrefix("encryptor: ") }
        #expect(own.count == 1 && own.first?.contains("bad.h5") == true, "\(text)")
      }
    }
  }

  /// By turns: one bit, several bits, a cut, a run of equal bytes, bits of what holds the strings.
  private static func damaged(_ whole: Data, seed: UInt64) -> Data {
    var random = SplitMix(seed: seed)
    var bytes = [UInt8](whole)
    func flip(_ place: Int) { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
    switch seed % 5 {
    case 0: flip(Int.random(in: bytes.indices, using: &random))
    case 1:
      for _ in 0..<Int.random(in: 2...30, using: &random) { flip(Int.random(in: bytes.indices, using: &random)) }
    case 2: bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
    case 3:
      let value: UInt8 = [0, 0x80, 0xFF].randomElement(using: &random) ?? 0
      let start = Int.random(in: 0..<bytes.count - 8, using: &random)
      for place in start..<start + Int.random(in: 1...8, using: &random) { bytes[place] = value }
    default:
      let heaps = bytes.indices.dropLast(4).filter { Array(bytes[$0..<$0 + 4]) == Array("GCOL".utf8) }
      guard let heap = heaps.randomElement(using: &random) else { break }
      for _ in 0..<3 { flip(Int.random(in: heap..<min(heap + 512, bytes.count), using: &random)) }
    }
    return Data(bytes)
  }

  /// In a process of its own: a fault while libhdf5 reads is the file's, whose name is said; a trap of our own code, a fault while it writes, and
  /// one anywhere else are ours.
  @Test func whoseAFaultIs() async throws {
    let reads = await #expect(processExitsWith: .exitCode(3), observing: [\.standardErrorContent]) {
      try ProcessHardening.reportFaults(program: "test")
      _ = try HDF5Library.check(.defect, DataLocation(file: "given.h5").object("x"), "") { raise(SIGSEGV) }
    }
    let text = String(decoding: reads?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("test: given.h5: 'x': the file is damaged"), "\(text)")
    let aborts = await #expect(processExitsWith: .exitCode(3), observing: [\.standardErrorContent]) {
      try ProcessHardening.reportFaults(program: "test")
      HDF5Library.locked { abort() }
    }
    #expect(aborts != nil)
    let traps = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
      try ProcessHardening.reportFaults(program: "test")
      HDF5Library.locked { fatalError("of our own") }
    }
    let trap = String(decoding: traps?.standardErrorContent ?? [], as: UTF8.self)
    #expect(trap.contains("a defect of ours") && !trap.contains("the file is damaged"), "\(trap)")
    await #expect(processExitsWith: .exitCode(70)) {
      try ProcessHardening.reportFaults(program: "test")
      let path = FileManager.default.temporaryDirectory.appending(path: "fault-\(UUID()).h5").path
      let writer = try HDF5Writer(path: path)
      defer { writer.abandon() }
      try writer.guarded { (_) throws(DatasetError) in HDF5Library.locked { _ = raise(SIGSEGV) } }
    }
    await #expect(processExitsWith: .exitCode(70)) {
      try ProcessHardening.reportFaults(program: "test")
      raise(SIGBUS)
    }
  }

  /// The runtime's own report of a fault would print registers and the memory that they point to.
  @Test(arguments: [SIGSEGV, SIGABRT, SIGILL])
  func aFaultPrintsNoRegisters(_ signal: Int32) throws {
    let site = try Site()
    let trainer = try site.startTrainer(environment: ["SWIFT_BACKTRACE": "enable=yes,color=no"])
    trainer.process.signal(signal)
    let ended = try site.end(trainer.process)
    #expect(ended.code == 128 + signal)
    #expect(!ended.errors.contains("Registers"), "\(ended.errors)")
    #expect(!ended.errors.lowercased().contains("crash"), "\(ended.errors)")
  }
}
