import Models
import Foundation
import OwnerRole
import Synchronization
import Testing
import TestSupport
import Protocol

@testable import Service
@testable import TrainerRole

/// A disk on which a sync takes longer than an owner may be silent.
@Suite(.waiting, .timeLimit(.minutes(10))) struct SlowDiskTests {
  /// Blocks the next disk work after `arm`, once.
  private final class SlowDisk: Sendable {
    private let state = Mutex((isArmed: false, isOver: false))
    private let seconds: Double

    init(seconds: Double) {
      self.seconds = seconds
    }

    var isOver: Bool { state.withLock(\.isOver) }

    func arm() {
      state.withLock { $0.isArmed = true }
    }

    func beforeDiskWork() {
      let isSlow = state.withLock { state in
        defer { state.isArmed = false }
        return state.isArmed
      }
      guard isSlow else { return }
      Thread.sleep(forTimeInterval: seconds)
      state.withLock { $0.isOver = true }
    }
  }

  /// To the limit of 2 s as 20 s are to the usual 8 s.
  @Test func anUploadWhoseSyncTakesTwentySecondsDoesNotEndAnotherOwnersRunningJob() throws {
    let site = try Site<Float>()
    let disk = SlowDisk(seconds: 5)
    let trainer = site.trainer(ownerSilence: .seconds(2), beforeDiskWork: { disk.beforeDiskWork() })
    defer { trainer.shutDown() }
    let other = try site.run(SmallJob().changing { $0.epochs = 1 }, name: "other", keys: CurveKeyPair.generate())
    let run = try site.run(SmallJob().changing { $0.epochs = 400 })
    let undisturbed = try site.undisturbed(run)
    let network = site.network
    let uploaded = DispatchGroup()
    var losses: [String] = []
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
      switch event {
      case .progress(.step(step: 9, _, _, _, _), _):
        disk.arm()
        uploaded.enter()
        Thread.detachNewThread {
          _ = try? other.execute(on: network)
          uploaded.leave()
        }
      // Goes on, so that it is heard, for as long as the disk is busy.
      case .progress(.step(step: 10..., _, _, _, _), _) where !disk.isOver: Thread.sleep(forTimeInterval: 0.02)
      case .trainerLost(let reason): losses.append(reason)
      default: break
      }
    }
    uploaded.wait()
    #expect(disk.isOver)
    #expect(losses.isEmpty)
    #expect(trainer.events.pauses.isEmpty)
    #expect(trainer.events.finished == 2)
    #expect(try run.model() == undisturbed.model())
  }

  /// What an owner sends while its files are worked on is done in order.
  @Test(arguments: [LossLocation.owner, .trainer]) func messagesOfOneJobStayInOrder(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(beforeDiskWork: { Thread.sleep(forTimeInterval: 0.03) })
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.loss = loss; $0.epochs = 2
      })
    let undisturbed = try site.undisturbed(run)
    try run.execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
  }

  /// Twenty seconds away from the socket are no silence of its owners; eight of listening are.
  @Test func onlyTimeThatWasListenedCountsAsSilence() {
    var listening = ListeningTime()
    let start = ContinuousClock.now
    listening.start(at: start)
    listening.stop(at: start + .milliseconds(10), timeout: .seconds(1))
    listening.start(at: start + .seconds(20))
    listening.stop(at: start + .seconds(20) + .milliseconds(10), timeout: .seconds(1))
    #expect(listening.total == .milliseconds(120))
    for second in 20..<28 {
      listening.start(at: start + .seconds(second) + .milliseconds(10))
      listening.stop(at: start + .seconds(second + 1) + .milliseconds(10), timeout: .seconds(1))
    }
    #expect(listening.total == .milliseconds(8_120))
    // A process that was stopped in the middle of a look.
    listening.start(at: start + .seconds(28) + .milliseconds(10))
    listening.stop(at: start + .seconds(128), timeout: .seconds(1))
    #expect(listening.total <= .milliseconds(9_220))
  }
}
