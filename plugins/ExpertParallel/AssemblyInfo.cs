using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Titan.Parallelism.Tests")]
