import Foundation
import Foundations
import Numerics
import Synchronization
import Testing

@testable import Collectives

@Suite(.timeLimit(.minutes(10))) struct ThreadCommunicatorTests {
  private final class Results<Value: Sendable>: Sendable {
    let values: Mutex<[Value?]>

    init(_ size: Int) {
      values = Mutex(Array(repeating: nil, count: size))
    }
  }

  /// Runs `body` as each rank.
  private func ranks<Value: Sendable>(
    _ size: Int, _ body: @escaping @Sendable (ThreadCommunicator) -> Value
  ) -> [Value?] {
    let results = Results<Value>(size)
    let group = ThreadCommunicator.group(of: size)
    // Each needs a thread of its own, because they wait for each other.
    let running = DispatchGroup()
    for communicator in group {
      running.enter()
      Thread {
        let value = body(communicator)
        results.values.withLock { $0[communicator.rank] = value }
        running.leave()
      }.start()
    }
    running.wait()
    return results.values.withLock { $0 }
  }

  @Test func sumsAreTheSameAtEveryRankInTheOrderOfRanks() throws {
    // Three numbers whose sum depends on the order.
    let parts: [Float] = [1e8, 1, -1e8]
    for _ in 0..<20 {
      let results = ranks(3) { communicator -> Float in
        var x = [parts[communicator.rank]]
        return x.withUnsafeMutableBufferPointer { memory in
          try? communicator.startSum(memory).wait()
          return memory[0]
        }
      }
      #expect(results == Array(repeating: (parts[0] + parts[1]) + parts[2], count: 3))
    }
  }

  @Test func broadcastAndMessages() throws {
    let results = ranks(2) { communicator -> [UInt8] in
      var bytes: [UInt8] = communicator.rank == 1 ? [7, 8] : [0, 0]
      bytes.withUnsafeMutableBufferPointer { try? communicator.broadcast($0, from: 1) }
      try? communicator.send(Data(bytes + [UInt8(communicator.rank)]), to: 1 - communicator.rank)
      return (try? communicator.receive()).map { [UInt8($0.from)] + $0.message } ?? []
    }
    #expect(results == [[1, 7, 8, 1], [0, 7, 8, 0]])
  }

  @Test func aRankThatDiesEndsEveryWait() throws {
    let results = ranks(3) { communicator -> CollectiveError? in
      var x: [Double] = [1]
      if communicator.rank == 2 {
        communicator.abort(code: 1)
        return communicator.failure
      }
      return x.withUnsafeMutableBufferPointer { memory -> CollectiveError? in
        do {
          try communicator.startSum(memory).wait()
          return nil
        } catch {
          return error as? CollectiveError
        }
      }
    }
    #expect(results == Array(repeating: .rankLost(2), count: 3))
  }

  @Test func ranksOfOneReleaseAgree() {
    let results = ranks(3) { communicator -> CollectiveError? in
      do throws(CollectiveError) {
        try communicator.agree(on: "1.2.3")
        return nil
      } catch { return error }
    }
    #expect(results == Array(repeating: .some(nil), count: 3))
  }

  @Test func ranksOfAnotherReleaseAreToldBothReleases() throws {
    let results = ranks(2) { communicator -> CollectiveError? in
      do throws(CollectiveError) {
        try communicator.agree(on: communicator.rank == 0 ? "1.2.3" : "1.3.0")
        return nil
      } catch { return error }
    }
    #expect(results[0] == .some(nil))
    let error = try #require(results[1] ?? nil)
    #expect(error == .otherRelease(rank: 1, has: "1.3.0", first: "1.2.3"))
    #expect(error.description.contains("release 1.3.0") && error.description.contains("rank 0 is 1.2.3"))
    #expect(error.kind.exitCode == 2)
  }

  @Test func ranksThatMultiplyOtherwiseAreToldBothKernels() throws {
    let kernels = ["AMX, OpenBLAS SkylakeX", "AMX, OpenBLAS SkylakeX", "AVX2, OpenBLAS Haswell"]
    let results = ranks(3) { communicator -> CollectiveError? in
      do throws(CollectiveError) {
        try communicator.agree(onKernel: kernels[communicator.rank])
        return nil
      } catch { return error }
    }
    #expect(results[0] == .some(nil) && results[1] == .some(nil))
    let error = try #require(results[2] ?? nil)
    #expect(error == .otherKernel(rank: 2, has: kernels[2], first: kernels[0]))
    #expect(error.description.contains(kernels[2]) && error.description.contains(kernels[0]))
    #expect(error.kind.exitCode == 2)
  }

  private final class Called: Sendable {
    let errors = Mutex<[CollectiveError]>([])

    func note(_ error: CollectiveError) {
      errors.withLock { $0.append(error) }
    }
  }

  @Test func whoNoLongerWantsToKnowOfFailuresIsForgotten() throws {
    let communicator = ThreadCommunicator.group(of: 2)[0]
    let stays = Called()
    communicator.onFailure { stays.note($0) }
    weak var forgotten: Called?
    do {
      let leaves = Called()
      forgotten = leaves
      let observation = communicator.onFailure { leaves.note($0) }
      #expect(forgotten != nil)
      observation.end()
      observation.end()
    }
    #expect(forgotten == nil)
    communicator.abort(code: 1)
    #expect(stays.errors.withLock { $0 } == [.rankLost(0)])
    // One that comes later is told at once.
    let late = Called()
    communicator.onFailure { late.note($0) }.end()
    #expect(late.errors.withLock { $0 } == [.rankLost(0)])
  }

  @Test func launchersAreRecognized() {
    #expect(MPILaunch(environment: [:]) == nil)
    #expect(MPILaunch(environment: ["OMPI_COMM_WORLD_SIZE": "4"])?.processes == 4)
    #expect(MPILaunch(environment: ["PMI_SIZE": "3"])?.processes == 3)
    #expect(MPILaunch(environment: ["PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "2"])?.processes == 2)
    #expect(MPILaunch(environment: ["PMIX_RANK": "5"])?.processes == 6)
    #expect(MPILaunch(environment: ["SLURM_STEP_NUM_TASKS": "2"])?.isConnected == false)
    #expect(MPILaunch(environment: ["SLURM_STEP_NUM_TASKS": "1"]) == nil)
  }

  #if !MPI
    @Test func mpiStartedWithoutTheTrait() throws {
      let error = #expect(throws: CollectiveError.self) {
        try MPILaunch.join(environment: ["OMPI_COMM_WORLD_SIZE": "2"])
      }
      #expect(error?.kind.exitCode == 2)
      #expect(error?.description.contains("make mpi") == true)
      // Which alone has the flags of the MPI that is there.
      #expect(error?.description.contains("swift build") == false)
      #expect(try MPILaunch.join(environment: ["OMPI_COMM_WORLD_SIZE": "1"]).size == 1)
    }
  #endif
}

@Suite(.timeLimit(.minutes(10))) struct ProgressWatchTests {
  /// Looks at a thread that did `beats` before each look, and tells how often it was looked at.
  private func watch(_ pulse: @escaping @Sendable (Int) -> ProgressWatch.Pulse?) -> (hangs: Bool, looks: Int) {
    let looks = Mutex(0)
    let hangs = ProgressWatch(tick: .microseconds(100)) {
      pulse(
        looks.withLock { looks in
          looks += 1
          return looks
        })
    }.run(until: MonotonicLatch())
    return (hangs, looks.withLock { $0 })
  }

  @Test func aThreadWithoutABeatHangsAfterSixtyTicks() {
    // The first look only tells where it stands.
    #expect(watch { _ in .init(beats: 7, isDoubted: false) } == (true, 61))
  }

  @Test func oneThatIsAskedForAndDoesNotAnswerHangsAfterEight() {
    #expect(watch { look in .init(beats: 7, isDoubted: look > 20) } == (true, 28))
  }

  @Test func oneThatBeatsNowAndThenDoesNotHang() {
    let (hangs, looks) = watch { look in
      look < 500 ? .init(beats: UInt64(look / 59), isDoubted: false) : nil
    }
    #expect(!hangs && looks == 500)
  }

  @Test func whatEndedOrNeedNotAnswerDoesNotHang() {
    let ended = MonotonicLatch()
    ended.open()
    #expect(!ProgressWatch { .init(beats: 0, isDoubted: true) }.run(until: ended))
    #expect(watch { _ in nil } == (false, 1))
  }
}

@Suite struct PollingPauseTests {
  /// Pauses until `seconds` have passed in which nothing moved.
  private func pauses(
    _ pause: inout PollingPause, isAwaited: Bool = false, hasMessages: Bool = false, hasSums: Bool = false,
    until seconds: Double
  ) -> [Double] {
    var (slept, all) = (0.0, [Double]())
    while slept < seconds {
      pause.polled(hasMoved: false, isAwaited: isAwaited, hasMessages: hasMessages, hasSums: hasSums)
      slept += pause.next
      all.append(pause.next)
    }
    return all
  }

  @Test func whereNothingIsUnderWayNoWaitTakesMoreThanTwiceItsTimeAndPollsAreFew() {
    var pause = PollingPause()
    let all = pauses(&pause, until: 1)
    var slept = 0.0
    for one in all {
      // The first pause is 50 microseconds; sums of such numbers round.
      #expect(one <= slept + 51e-6 && one <= 10e-3)
      slept += one
    }
    #expect(all.count < 110)
  }

  @Test func whatIsAwaitedIsPolledOften() {
    var pause = PollingPause()
    _ = pauses(&pause, until: 1)
    #expect(pauses(&pause, isAwaited: true, hasSums: true, until: 0.01).allSatisfy { $0 <= 100e-6 })
  }

  @Test func sumsAreMovedOnSoonThenEveryFourMillisecondsAndAfterAMoveAtOnce() {
    var pause = PollingPause()
    let all = pauses(&pause, hasSums: true, until: 0.1)
    #expect(all.prefix(3) == [50e-6, 100e-6, 200e-6] && all.last == 4e-3)
    pause.polled(hasMoved: true, isAwaited: false, hasMessages: false, hasSums: true)
    #expect(pause.next == 0)
  }

  @Test func messagesAreMovedOnEveryMillisecondAlsoBesideSums() {
    var pause = PollingPause()
    _ = pauses(&pause, hasSums: true, until: 0.1)
    #expect(pauses(&pause, hasMessages: true, hasSums: true, until: 0.1).allSatisfy { $0 == 1e-3 })
  }
}
