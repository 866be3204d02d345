import Foundation
import JobSpec
import Numerics
import TestSupport
import Service
import TrainerRole
import Protocol

/// A place for one test: data, an owner, a network, and a trainer on it.
struct Site<Element: FloatingElement> {
  let directory: TemporaryDirectory
  let data: SmallData
  let keys: CurveKeyPair
  let network: InProcessNetwork

  init(rows: Int = 44, options: TransportOptions = TransportOptions()) throws {
    directory = try TemporaryDirectory()
    data = try SmallData(in: directory, rows: rows)
    keys = try CurveKeyPair.generate()
    network = InProcessNetwork(options: options)
  }

  func trainer(
    store: String = "store", threads: Int = 1, memoryLimit: Int = 1 << 30, rowStoreLimit: Int = 1 << 24,
    ownerSilence: Duration = .seconds(8), owners: ServedOwners = ServedOwners(), hasEventLog: Bool = false,
    jobsAtOnce: Int = 1, turn: Duration = .seconds(600), ranks: Int? = nil, garbling: (rank: Int, message: Int)? = nil,
    kernels: AvailableKernels = AvailableKernels(), allowsOtherKernel: Bool = false,
    beforeDiskWork: @escaping @Sendable () -> Void = {}
  ) -> TrainerHost<Element> {
    TrainerHost(
      on: network, store: directory.url(store), threads: threads, memoryLimit: memoryLimit,
      rowStoreLimit: rowStoreLimit, ownerSilence: ownerSilence, owners: owners, hasEventLog: hasEventLog,
      jobsAtOnce: jobsAtOnce, turn: turn, ranks: ranks, garbling: garbling, kernels: kernels,
      allowsOtherKernel: allowsOtherKernel, beforeDiskWork: beforeDiskWork)
  }

  func run(_ job: SmallJob, name: String = "run", keys other: CurveKeyPair? = nil) throws -> OwnedRun<Element> {
    try OwnedRun(job.resolved(on: data), keys: other ?? keys, in: directory.url(name))
  }

  /// Runs of jobs that differ in something: the first is of this site's owner, each other of one of its own.
  func runs(
    _ count: Int, of job: SmallJob, _ change: (Int, inout SmallJob) -> Void
  ) throws -> [OwnedRun<Element>] {
    try (0..<count).map { index in
      try run(
        job.changing { change(index, &$0) }, name: "run-\(index)", keys: index == 0 ? nil : try CurveKeyPair.generate())
    }
  }

  /// The run that nothing disturbed, by a trainer of its own.
  ///
  /// - Parameter ranks: nil for the way without replicas.
  func undisturbed(_ run: OwnedRun<Element>, threads: Int = 1, ranks: Int? = nil) throws -> OwnedRun<Element> {
    let twin = try run.twin(in: directory.url("undisturbed-\(UUID().uuidString)"))
    let network = InProcessNetwork()
    let trainer = TrainerHost<Element>(
      on: network, store: directory.url("undisturbed-store-\(UUID().uuidString)"), threads: threads,
      ranks: ranks)
    defer { trainer.shutDown() }
    try twin.execute(on: network, threads: threads)
    return twin
  }
}
