import TestSupport

@testable import Datasets

/// Makes files in a directory, and opens them as a job does.
struct HDF5Fixture {
  let directory: TemporaryDirectory

  func callAsFunction(
    _ name: String = "data.h5", _ build: (FixtureFile) throws -> Void
  ) throws -> HDF5File {
    let fixture = try FixtureFile(directory.file(name))
    try build(fixture)
    fixture.close()
    return try HDF5File(path: fixture.path)
  }
}
