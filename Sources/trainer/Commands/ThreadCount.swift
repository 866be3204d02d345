import Foundation

/// How many threads this process may use: the processors it is bound to, and no more than Slurm has given the task.
enum ThreadCount {
  /// The active processors are those of the process's affinity mask, which `taskset`, `mpirun --bind-to` and Slurm set.
  static func standard(environment: [String: String] = ProcessInfo.processInfo.environment) -> Int {
    let processors = ProcessInfo.processInfo.activeProcessorCount
    guard let given = environment["SLURM_CPUS_PER_TASK"].flatMap(Int.init), given > 0 else { return processors }
    return min(processors, given)
  }
}
