import Models
import Testing
import TestSupport

@Suite(.waiting) struct ThreadCountTests {
  /// Widths that several tiles and pieces cover, so that threads have something to divide.
  @Test(arguments: [LossLocation.owner, .trainer])
  func anyNumberOfThreadsGivesTheSameBits(_ loss: LossLocation) throws {
    let site = try Site<Float>(rows: 700)
    let job = SmallJob().changing {
      $0.loss = loss
      $0.hidden = [300, 70]
      $0.batch = 256
      $0.microBatch = 100
      $0.epochs = 2
      $0.activation = .gelu
      $0.optimizer = SmallJob.muon()
    }
    let run = try site.run(job)
    let one = try site.undisturbed(run, threads: 1)
    for threads in [2, 3] {
      let other = try site.undisturbed(run, threads: threads)
      #expect(try other.model() == one.model())
      #expect(try other.history() == one.history())
    }
  }
}
