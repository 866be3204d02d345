/// What a launcher of MPI jobs says to the processes that it starts, in their environment.
package struct MPILaunch: Equatable {
  /// Processes that were started together, at least 1, and as many as are known of.
  package let processes: Int
  /// Whether they were told how to find each other, which takes a launcher that knows MPI.
  package let isConnected: Bool

  /// Open MPI's `mpirun` sets OMPI_COMM_WORLD_SIZE, MPICH's and Intel's PMI_SIZE; a PMIx server (`srun --mpi=pmix`) sets PMIX_RANK,
  /// and Slurm the number of a step's tasks. Nil when none of them is there.
  package init?(environment: [String: String]) {
    func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) } }
    let known = number("OMPI_COMM_WORLD_SIZE") ?? number("PMI_SIZE")
    let tasks = number("SLURM_STEP_NUM_TASKS")
    if let known {
      self.init(processes: max(1, known), isConnected: true)
    } else if let rank = number("PMIX_RANK") {
      self.init(processes: max(1, tasks ?? 1, min(rank, Int.max - 1) + 1), isConnected: true)
    } else if let tasks, tasks > 1 {
      self.init(processes: tasks, isConnected: false)
    } else {
      return nil
    }
  }

  private init(processes: Int, isConnected: Bool) {
    self.processes = processes
    self.isConnected = isConnected
  }

  /// A communicator of all processes that were started together.
  ///
  /// - Throws: `CollectiveError`: `.builtWithoutMPI` for several processes of a program without the package trait MPI;
  ///   `.notConnected` for several tasks that could not find each other; what the library reports.
  package static func join(environment: [String: String]) throws(CollectiveError) -> any Communicator {
    guard let launch = MPILaunch(environment: environment) else { return SingleProcessCommunicator() }
    #if MPI
      guard launch.isConnected else { throw .notConnected(launch.processes) }
      let communicator = try MPICommunicator()
      guard communicator.size >= launch.processes || launch.processes == 1 else {
        throw .notConnected(launch.processes)
      }
      return communicator
    #else
      guard launch.processes == 1 else { throw .builtWithoutMPI(launch.processes) }
      return SingleProcessCommunicator()
    #endif
  }
}
