using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Replaces a linked ELF64 library by a private copy in which one needed symbol version is weak, so that a loader without that version accepts it
/// (ELF gABI, section .gnu.version_r: Elf64_Verneed / Elf64_Vernaux, flag VER_FLG_WEAK = 2).
/// </summary>
public sealed class MarkVersionNeedWeak : Task
{
    private const uint SectionTypeVersionNeed = 0x6ffffffe;
    private const ushort Weak = 2;

    [Required] public string Library { get; set; }
    [Required] public string Version { get; set; }

    public override bool Execute()
    {
        if (!File.Exists(Library)) return true;
        var bytes = File.ReadAllBytes(Library);
        var entry = FindVersionNeed(bytes);
        if (entry < 0) return true;                                  // this build of the library does not need it
        var isLink = (File.GetAttributes(Library) & FileAttributes.ReparsePoint) != 0;
        if (BitConverter.ToUInt16(bytes, entry + 4) == Weak && !isLink) return true;
        bytes[entry + 4] = (byte)Weak;
        bytes[entry + 5] = 0;
        // Write beside and rename: the path may be a link (even a hard link) into the package cache, which must stay as it is.
        var temporary = Library + "." + Guid.NewGuid().ToString("N") + ".tmp";
        File.WriteAllBytes(temporary, bytes);
        File.Delete(Library);
        File.Move(temporary, Library);
        Log.LogMessage(MessageImportance.Normal, "Marked {0} weak in a private copy of {1}", Version, Library);
        return true;
    }

    private int FindVersionNeed(byte[] elf)
    {
        if (elf.Length < 64 || elf[0] != 0x7f || elf[1] != 'E' || elf[2] != 'L' || elf[3] != 'F' || elf[4] != 2) return -1;
        var sections = (int)BitConverter.ToInt64(elf, 0x28);
        var entrySize = BitConverter.ToUInt16(elf, 0x3a);
        var count = BitConverter.ToUInt16(elf, 0x3c);
        for (var i = 0; i < count; i++)
        {
            var header = sections + i * entrySize;
            if (BitConverter.ToUInt32(elf, header + 4) != SectionTypeVersionNeed) continue;
            var strings = sections + (int)BitConverter.ToUInt32(elf, header + 40) * entrySize;
            var names = (int)BitConverter.ToInt64(elf, strings + 24);
            var need = (int)BitConverter.ToInt64(elf, header + 24);
            while (true)
            {
                var aux = need + (int)BitConverter.ToUInt32(elf, need + 8);
                for (var k = BitConverter.ToUInt16(elf, need + 2); k > 0; k--)
                {
                    var name = names + (int)BitConverter.ToUInt32(elf, aux + 8);
                    if (Matches(elf, name)) return aux;
                    aux += (int)BitConverter.ToUInt32(elf, aux + 12);
                }
                var next = (int)BitConverter.ToUInt32(elf, need + 12);
                if (next == 0) break;
                need += next;
            }
        }
        return -1;
    }

    private bool Matches(byte[] elf, int at)
    {
        var wanted = Encoding.ASCII.GetBytes(Version);
        for (var i = 0; i < wanted.Length; i++) if (elf[at + i] != wanted[i]) return false;
        return elf[at + wanted.Length] == 0;
    }
}
