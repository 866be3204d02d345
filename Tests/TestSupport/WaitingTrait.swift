// A static build of the programs, which compiles this target too, has no testing library.
#if canImport(Testing)
  import Dispatch
  import Foundation
  import Synchronization
  package import Testing

  /// For suites whose tests mostly wait: for a time, another process or a peer on another thread. They run on threads of their own,
  /// because a test that waits on the pool that all tests share, which has a thread a core, keeps a core from those that compute.
  package struct WaitingTrait: SuiteTrait, TestTrait, TestScoping {
    package var isRecursive: Bool { true }

    package func scopeProvider(for test: Test, testCase: Test.Case?) -> WaitingTrait? {
      test.isSuite ? nil : self
    }

    /// Takes a turn around a whole test, which is outside of its time limit, and a thread for each of its cases.
    package func provideScope(
      for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
      if testCase == nil {
        await Turns.shared.take()
        defer { Turns.shared.giveBack() }
        try await function()
      } else {
        try await withTaskExecutorPreference(WaitingThreads.shared) { try await function() }
      }
    }
  }

  extension Trait where Self == WaitingTrait {
    package static var waiting: WaitingTrait { WaitingTrait() }
  }

  /// Two a core: of tests that run at a time, and of threads for their cases.
  private let width = 2 * ProcessInfo.processInfo.activeProcessorCount

  /// How many tests may run at a time; the others wait for their turn in the order they came, without a thread.
  private final class Turns: Sendable {
    static let shared = Turns(count: width)

    private let state: Mutex<(free: Int, waiting: [CheckedContinuation<Void, Never>])>

    private init(count: Int) {
      state = Mutex((free: count, waiting: []))
    }

    func take() async {
      await withCheckedContinuation { continuation in
        let isFree = state.withLock { state in
          if state.free > 0 {
            state.free -= 1
            return true
          }
          state.waiting.append(continuation)
          return false
        }
        if isFree { continuation.resume() }
      }
    }

    func giveBack() {
      let next: CheckedContinuation<Void, Never>? = state.withLock { state in
        if state.waiting.isEmpty {
          state.free += 1
          return nil
        }
        return state.waiting.removeFirst()
      }
      next?.resume()
    }
  }

  /// Threads that take jobs in order and live as long as the process does.
  private final class WaitingThreads: TaskExecutor {
    static let shared = WaitingThreads(count: width)

    private let jobs = Mutex<[UnownedJob]>([])
    private let arrivals = DispatchSemaphore(value: 0)

    private init(count: Int) {
      for _ in 0..<count { Thread.detachNewThread { self.work() } }
    }

    func enqueue(_ job: consuming ExecutorJob) {
      let job = UnownedJob(job)
      jobs.withLock { $0.append(job) }
      arrivals.signal()
    }

    /// A job for each arrival, the oldest first.
    private func work() -> Never {
      while true {
        arrivals.wait()
        jobs.withLock { $0.removeFirst() }.runSynchronously(on: asUnownedTaskExecutor())
      }
    }
  }
#endif
