#if MPI
  import CMPI
  package import Foundation
  import Foundations
  package import Numerics

  /// The ranks of an MPI job.
  ///
  /// One thread makes all calls of the library (MPI_THREAD_FUNNELED): it takes operations from a queue and moves them on while others
  /// compute, sleeping in between.
  package final class MPICommunicator: Communicator {
    package let rank: Int
    package let size: Int
    private let operations: MPIOperations
    private let hasEnded = MonotonicLatch()

    package var failure: CollectiveError? { operations.failure }

    /// Joins the job that a launcher started; returns when all ranks have.
    ///
    /// - Throws: `CollectiveError.library`.
    package init() throws(CollectiveError) {
      let operations = MPIOperations()
      let started = MPIStart()
      self.operations = operations
      let thread = Thread { [hasEnded] in
        var progress = MPIProgress(operations)
        let result = progress.initialize()
        started.end(result)
        if case .success = result { progress.run() }
        hasEnded.open()
      }
      thread.stackSize = 8 << 20
      thread.name = "mpi"
      thread.start()
      (rank, size) = try started.wait().get()
      let watch = Thread { [hasEnded] in
        let watch = ProgressWatch { operations.pulse }
        if watch.run(until: hasEnded) { operations.fail(.libraryHangs) }
      }
      watch.name = "mpi watch"
      watch.start()
    }

    package func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation
    {
      guard let base = elements.baseAddress, !elements.isEmpty else { return PendingOperation(parts: 0) }
      // Counts are 32-bit numbers.
      let largest = 1 << 28
      let starts = stride(from: 0, to: elements.count, by: largest)
      let pending = PendingOperation(parts: (elements.count + largest - 1) / largest) { [operations] in
        operations.look()
      }
      for start in starts {
        operations.post(
          .sum(
            MPIMemory(base + start), count: min(largest, elements.count - start), type: Element.elementType), pending)
      }
      return pending
    }

    package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError) {
      guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
      let largest = 1 << 30
      for start in stride(from: 0, to: bytes.count, by: largest) {
        let pending = PendingOperation(parts: 1) { [operations] in operations.look() }
        operations.post(
          .broadcast(MPIMemory(base + start), count: min(largest, bytes.count - start), root: root), pending)
        try pending.wait()
      }
    }

    package func send(_ message: Data, to rank: Int) throws(CollectiveError) {
      guard (0..<size).contains(rank), rank != self.rank else { throw .rankLost(rank) }
      if let failure { throw failure }
      guard let memory = MPIMessage(message, kind: Int32(cmpi_data)) else {
        throw .messageSize(message.count)
      }
      operations.post(.send(memory, rank: rank), nil)
    }

    package func receive() throws(CollectiveError) -> (from: Int, message: Data) {
      try operations.receive()
    }

    package func checkRanks() {
      operations.ask { $0.checksRanks = true }
    }

    @discardableResult
    package func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
      operations.onFailure(action)
    }

    package func fail(_ error: CollectiveError) {
      operations.fail(error)
    }

    package func finish() {
      operations.ask { $0.ends = true }
      // A rank that died just now would let the others wait for it.
      _ = hasEnded.wait(for: .seconds(10))
    }

    package func abort(code: Int32) {
      operations.ask { $0.abortCode = code }
      Thread.sleep(forTimeInterval: 2)
      // Had it worked, nobody would be here. What the library does when a program exits may hang as well.
      fflush(nil)
      _exit(code)
    }
  }
#endif
