import Foundation
import Testing

/// The tests' programs are built without the trait MPI.
struct MPILaunchTests {
  /// Each process would take the same jobs for itself; the launchers' own words for "several" are those of Open MPI, MPICH, PMIx and Slurm.
  @Test(arguments: [
    (["OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"], 2), (["PMI_SIZE": "4", "PMI_RANK": "1"], 4),
    (["PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "3"], 3), (["PMIX_RANK": "2"], 3), (["SLURM_STEP_NUM_TASKS": "2"], 2),
  ])
  func mpiStartedWithoutTheTrait(_ environment: [String: String], processes: Int) throws {
    let site = try Site()
    let trainer = try site.start(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "tcp://127.0.0.1:0"],
      environment: environment)
    try site.end(trainer)
      .expectRefusal(2, saying: "started as \(processes) processes", "built without MPI", "make mpi", program: .trainer)
    #expect(!site.exists("store"), "nothing was touched")
  }

  @Test(arguments: [
    ["OMPI_COMM_WORLD_SIZE": "1"], ["SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"], ["PMI_SIZE": "no"],
  ])
  func oneProcessOfALauncherServes(_ environment: [String: String]) throws {
    let site = try Site()
    let trainer = try site.startTrainer(environment: environment)
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
  }
}
