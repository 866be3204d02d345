import Foundation
import Foundations
import Models
import OwnerRole
import Protocol
import TestSupport
import Testing

/// Owners before a trainer that knows wire version 5 and nothing later.
@Suite(.waiting, .timeLimit(.minutes(5))) struct OlderTrainerTests {
  /// Makes a trainer on this network one of before: what comes in version 6 it does not know, and it says so in version 5.
  private func age(_ network: InProcessNetwork) {
    network.setFault { transit in
      var message = transit.message
      guard let header = message.first, header.count > 5, header[header.startIndex + 4] == 6 else { return [message] }
      message[0] = Data(header)
      message[0][4] = transit.direction == .toServer ? 7 : 5
      return [message]
    }
  }

  @Test(arguments: [LossLocation.owner, .trainer]) func aJobInFloatsIsTrainedAsEver(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { ($0.loss, $0.epochs) = (loss, 2) })
    let undisturbed = try site.undisturbed(run)
    age(site.network)
    let report = try #require(try run.execute(on: site.network))
    #expect(try run.model() == undisturbed.model() && run.history() == undisturbed.history())
    #expect(report.precision == .float32)
    // Such a trainer does not say what it multiplies with when it attaches.
    #expect(loss == .trainer || report.kernels == nil)
  }

  @Test func anotherPrecisionIsRefusedByTheOwner() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    age(site.network)
    let run = try site.run(SmallJob().changing { $0.precision = .bfloat16 })
    do {
      try run.execute(on: site.network)
      Issue.record("it was taken")
    } catch OwnerError.refused(let kind, let reason) {
      #expect(kind == .refused && reason.contains("wire version 5") && reason.contains("train.precision: float32"))
    }
    // Nothing of it has come there.
    let jobs = trainer.store.appending(path: "jobs").path
    #expect(try FileManager.default.contentsOfDirectory(atPath: jobs).isEmpty)
  }

  /// A refusal that is not about the version stays one.
  @Test func aLaterVersionThanBothIsRefused() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    site.network.setFault { transit in
      var message = transit.message
      if transit.direction == .toServer { message[0][4] = 7 }
      return [message]
    }
    do {
      try site.run(SmallJob()).execute(on: site.network)
      Issue.record("it was taken")
    } catch OwnerError.refused(let kind, let reason) {
      #expect(kind == .refused && reason.contains("wire version 7") && reason.contains("speaks 2 to 6"))
    }
  }
}
