public sealed class Plugin : EverythingE4M3;
