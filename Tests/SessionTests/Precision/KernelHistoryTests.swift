import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import OwnerRole
import Protocol
import Service
import TestSupport
import Testing

@testable import TrainerRole

/// A job remembers what it is multiplied with, and goes on with nothing else unless the operator says so.
@Suite(.waiting, .timeLimit(.minutes(10))) struct KernelHistoryTests {
  private static let job = SmallJob().changing {
    ($0.epochs, $0.checkpointEverySteps, $0.precision) = (4, 2, .bfloat16)
  }

  /// Paths that every processor has; OpenBLAS's name is what is said, its products are those of this processor.
  private static func kernels(_ openBLAS: String = "First", _ paths: [KernelPath] = [.portable]) -> AvailableKernels {
    AvailableKernels(openBLAS: openBLAS, paths: paths) { _ in PackedKernels(path: .portable) }
  }

  /// Trains some steps, so that a checkpoint is there, and stops.
  private func begin(_ run: OwnedRun<Float>, at site: Site<Float>, _ kernels: AvailableKernels) throws {
    let trainer = site.trainer(kernels: kernels)
    defer { trainer.shutDown() }
    let interruption = Interruption()
    #expect(throws: OwnerError.self) {
      try run.execute(over: site.network.connect(site.keys.ownerKey), interruption: interruption) { event in
        if case .progress(.step(5, _, _, _, _), _) = event { interruption.request() }
      }
    }
    #expect(trainer.events.kernels == [kernels.kernel(for: run.prepared.job.train.precision).text])
  }

  private func resumed(
    _ run: OwnedRun<Float>, at site: Site<Float>, _ kernels: AvailableKernels, allowing: Bool = false
  ) throws -> (report: RunReport?, trainer: TrainerHost<Float>) {
    let trainer = site.trainer(hasEventLog: true, kernels: kernels, allowsOtherKernel: allowing)
    defer { trainer.shutDown() }
    return (try run.reopened().execute(on: site.network), trainer)
  }

  @Test(arguments: [
    (TrainingPrecision.float32, "OpenBLAS First", "OpenBLAS Second"),
    (.bfloat16, "portable, OpenBLAS First", "portable, OpenBLAS Second"),
  ])
  func anotherKernelIsRefusedWithBothNames(_ precision: TrainingPrecision, _ first: String, _ second: String) throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job.changing { $0.precision = precision })
    try begin(run, at: site, Self.kernels("First"))
    do {
      _ = try resumed(run, at: site, Self.kernels("Second"))
      Issue.record("it went on")
    } catch OwnerError.refused(let kind, let reason) {
      #expect(kind == .refused && reason.contains("began with the kernel \(first),"), "\(reason)")
      #expect(reason.contains("multiplies with \(second),") && reason.contains("--allow-other-kernel"), "\(reason)")
    }
    // The job is still there, and goes on where its kernel is.
    let (report, _) = try resumed(run, at: site, Self.kernels("First"))
    #expect(report?.kernels == [KernelUse(step: 0, kernel: first)])
  }

  @Test func aPathThatIsNotHereIsRefused() throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job)
    try begin(run, at: site, Self.kernels("First", [.amx, .portable]))
    #expect(throws: OwnerError.self) { try resumed(run, at: site, Self.kernels("First", [.avx2, .portable])) }
  }

  @Test func allowedToItGoesOnAndSaysSo() throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job)
    try begin(run, at: site, Self.kernels("First"))
    let (report, trainer) = try resumed(run, at: site, Self.kernels("Second"), allowing: true)
    let kernels = try #require(report?.kernels)
    #expect(kernels.map(\.kernel) == ["portable, OpenBLAS First", "portable, OpenBLAS Second"])
    #expect(kernels.first?.step == 0 && kernels.last.map { $0.step > 0 } == true)
    let lines = try String(contentsOf: run.directory.history, encoding: .utf8).split(separator: "\n")
    #expect(lines.filter { $0.contains(#""kind":"kernel""#) }.count == 2)
    let changes = trainer.events.changes.map { Array($0.dropFirst()) }
    #expect(changes == [["portable, OpenBLAS First", "portable, OpenBLAS Second"]])
    let log = try String(contentsOf: trainer.store.appending(path: "audit.log"), encoding: .utf8)
    #expect(log.contains(#""event":"kernel_changed""#) && log.contains("instead of portable, OpenBLAS First"))
    #expect(try RunHistory(run.directory).steps == 20)
  }

  /// Also where it has better ones: the bits are those of a run that was never stopped.
  @Test func theJobsPathIsTakenNotTheBest() throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job)
    let undisturbed = try run.twin(in: site.directory.url("undisturbed"))
    try begin(run, at: site, Self.kernels("First", [.avx2, .portable]))
    let more = Self.kernels("First", [.amx, .avx512BFloat16, .avx512, .avx2, .portable])
    let (report, trainer) = try resumed(run, at: site, more)
    #expect(trainer.events.kernels == ["AVX2, OpenBLAS First"] && trainer.events.changes.isEmpty)
    #expect(report?.kernels == [KernelUse(step: 0, kernel: "AVX2, OpenBLAS First")])
    let network = InProcessNetwork()
    let other = TrainerHost<Float>(
      on: network, store: site.directory.url("other"), kernels: Self.kernels("First", [.avx2, .portable]))
    defer { other.shutDown() }
    try undisturbed.execute(on: network)
    #expect(try run.model() == undisturbed.model())
  }

  /// A store of a version before has no `kernel.json`.
  @Test func aJobOfBeforeGoesOnWithoutAWord() throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job.changing { $0.precision = .float32 })
    try begin(run, at: site, Self.kernels("First"))
    let file = site.directory.url("store").appending(path: "jobs/\(run.state.job)/kernel.json")
    try FileManager.default.removeItem(at: file)
    let (report, trainer) = try resumed(run, at: site, Self.kernels("Second"))
    #expect(trainer.events.changes.isEmpty && report?.steps == 20)
  }

  @Test func aJobThatTheTrainerRunsAloneTellsItInTheEnd() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(kernels: Self.kernels())
    defer { trainer.shutDown() }
    let report = try site.run(Self.job.changing { $0.loss = .trainer }).execute(on: site.network)
    #expect(report?.kernels == [KernelUse(step: 0, kernel: "portable, OpenBLAS First")])
  }

  /// Three parts are worth it on tiles alone; everywhere else it is float32, and its kernel OpenBLAS's.
  @Test func threePartsAreFloatsWithoutTiles() throws {
    #expect(Self.kernels("First", [.avx512BFloat16, .portable]).kernel(for: .bfloat16x3).text == "OpenBLAS First")
    #expect(Self.kernels("First", [.amx, .portable]).kernel(for: .bfloat16x3).text == "AMX, OpenBLAS First")
    let compute = Self.kernels("First", [.avx2]).compute(Workers(threads: 1), for: .bfloat16x3)
    #expect(compute.precision == .full && compute.library is OpenBLAS)
  }

  @Test(arguments: [1, 2] as [UInt64]) func ranksTakeTheJobsKernel(_ seed: UInt64) throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job.changing { $0.seed = Int(seed) })
    let undisturbed = try site.undisturbed(run, ranks: 2)
    let trainer = site.trainer(ranks: 2)
    defer { trainer.shutDown() }
    try run.execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(trainer.events.kernels == [AvailableKernels().kernel(for: .bfloat16).text])
  }
}
