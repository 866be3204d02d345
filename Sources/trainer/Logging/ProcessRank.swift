/// Which of the processes that were started together this one is, as whoever started them says.
enum ProcessRank {
  /// Open MPI's own, then PMIx's, then Slurm's.
  private static let variables = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"]

  /// 0 where nothing is said: a process started by itself.
  static func read(from environment: [String: String]) -> Int {
    for variable in variables {
      if let text = environment[variable], let rank = Int(text), rank >= 0 { return rank }
    }
    return 0
  }
}
